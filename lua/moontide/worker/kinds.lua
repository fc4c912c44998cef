--- The registry of operator kinds. Every descriptor of a plan names its kind (made in lua/moontide/operators/); the module that implements
--- a kind registers it here. `how` says which part of a stage runs the implementation:
---
---     how          implementation                                                    used by
---     "record"     fun(g, k, op, arity, a, b): writes the operator into the text of   generate.lua
---                  a loop
---     "source"     fun(op): the source of a feed; its input describes the records     stage.lua
---     "partition"  fun(op): the terminal that takes a partition and yields records    stage.lua
---     "exchange"   fun(op, list, execution): the blocks of a shuffle's partition,     leaf.lua, inputs.lua
---                  brought together; false: as they came
---     "inputs"     fun(op, lists, execution): what it makes of several inputs, as     inputs.lua
---                  a list of blocks, or as a function that returns the next block
---     "iterator"   fun(op, lists, execution): the same as functions of mapPartitions  inputs.lua
---                  return it: an array or an iterator
---     "sink"       fun(sink): the terminal where the records leave the task           sinks.lua
---
--- A kind may be used in several ways: "combine" writes a shuffle ("sink") and may read it ("exchange").

local kinds = {}

local require = require -- a function of the script may have taken it away

local registered = { -- how → kind → implementation
    record = {}, source = {}, partition = {}, exchange = {}, inputs = {}, iterator = {}, sink = {},
}
local on_demand = {} -- kind → the module that registers it

--- Registers an implementation. Raises when the kind has one for `how` already.
---@param how "record"|"source"|"partition"|"exchange"|"inputs"|"iterator"|"sink"
---@param kind string
---@param implementation any
function kinds.register(how, kind, implementation)
    if registered[how][kind] ~= nil then
        error(("moontide: the operator kind '%s' is registered twice as \"%s\""):format(kind, how), 0)
    end
    registered[how][kind] = implementation
end

--- Names kinds that few jobs use: the module that registers them is loaded when one of them is looked for, as a stage is built.
---@param module string
---@param list string[]
function kinds.on_demand(module, list)
    for _, kind in ipairs(list) do on_demand[kind] = module end
end

--- The implementation of a kind, or nil when it has none for `how`.
---@param how string
---@param kind string
---@return any
function kinds.find(how, kind)
    local module = on_demand[kind]
    if module then
        require(module)
        on_demand[kind] = nil
    end
    return registered[how][kind]
end

--- The implementation of a kind; raises when it has none for `how`.
---@param how string
---@param kind string
---@return any
function kinds.need(how, kind)
    local implementation = kinds.find(how, kind)
    if implementation == nil then
        error(("moontide: unknown operator kind '%s' (as \"%s\")"):format(tostring(kind), how), 0)
    end
    return implementation
end

--- All kinds, each with the list of ways in which it is used, both in order.
---@return table<string, string[]>
function kinds.all()
    for _, module in pairs(on_demand) do require(module) end
    local all = {}
    for how, implementations in pairs(registered) do
        for kind in pairs(implementations) do
            all[kind] = all[kind] or {}
            table.insert(all[kind], how)
        end
    end
    for _, ways in pairs(all) do table.sort(ways) end
    return all
end

return kinds
