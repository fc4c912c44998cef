--- Plans as workers read them. The driver writes a plan as compact arrays (the grammar is in host/task/task.h); here it becomes a tree of
--- named nodes whose operators have their functions.
---
---     node  { type = "leaf", read = op? }                       takes the next input of the task; `read`: through an exchange
---           { type = "chain", input = node, ops = { op, … } }   operators applied in order
---           { type = "concat", runs = { { times =, node = } } } each node so many times, one after the other
---           { type = "zip", op = op, children = { node, … } }   one operator over the lists of several inputs
---           { type = "same", nodes_back =, inputs_back = }      only a child of zip: what an earlier child was
---     sink  { type = "final"|"shuffle"|"sample", op = op, route = integer?, ascending = boolean? }
---
--- A descriptor `op` is the table that lua/moontide/operators/ packed: kind, name, site and what else its kind needs. Its closure packages
--- (fn, merge, inverse, filter, partition, create) are replaced by the functions. Added are:
---
---     adds, subtracts   `merge` is a + b, `inverse` is a - b: carried out in C
---     make_zero         function that makes the zero value; `create` of foldByKey and aggregateByKey uses it
---     place             where its random numbers come from (randomness.lua)
---     slot              its slot in the task, when its function decides whether records are pairs (arity.lua)
---     shift, of_task    the number of its partition is `shift` more than that of its first input, or than that of the task
local codec = require "moontide.wire.codec"
local shared = require "moontide.closure.shared"
local unpack_closures = require "moontide.closure.unpack"

local plan = {}

-- Functions -----------------------------------------------------------------------------------------------------------

-- Stripped bytecode of adding and subtracting: whatever a function's parameters are called, it is the same bytes.
local ADD = string.dump(function(a, b) return a + b end, true)
local SUBTRACT = string.dump(function(a, b) return a - b end, true)

local function is(fn, known)
    local ok, bytes = pcall(string.dump, fn, true)
    return ok and bytes == known
end

local function load_function(session, op, bytes)
    local fn, why = session:load(bytes)
    if fn == nil then
        error(("%s\n  in %s (%s)"):format(why, op.name or op.kind, op.site or "?"), 0)
    end
    return fn
end

local function load_zero(op)
    local zero = op.zero
    local plain = unpack_closures.load(zero)
    if type(plain) ~= "table" then
        op.make_zero = function() return plain end
    else
        op.make_zero = function() return unpack_closures.load(zero) end
    end
    -- foldByKey, aggregateByKey: a key's first value meets a zero value of its own.
    if op.merge and not op.create then
        local make_zero, merge = op.make_zero, op.merge
        op.create = function(value) return merge(make_zero(), value) end
    end
end

local FUNCTIONS = { "fn", "merge", "inverse", "filter", "partition", "create" }

local function load_op(loading, op)
    op.place = op.draw and (op.static and { place = op.draw } or op.draw)
    for _, field in ipairs(FUNCTIONS) do
        if op[field] then
            op[field] = load_function(loading.session, op, op[field])
        end
    end
    op.adds = op.merge and is(op.merge, ADD)
    op.subtracts = op.inverse and is(op.inverse, SUBTRACT)
    if op.zero then
        load_zero(op)
    end
end

-- Nodes ---------------------------------------------------------------------------------------------------------------

-- An operator in the order of slots (host/task/task.h).
local function load_in_order(loading, op)
    load_op(loading, op)
    if op.arity == 0 then
        op.slot = #loading.slots
        loading.slots[#loading.slots + 1] = op
    end
    return op
end

local function note(loading, op) table.insert(loading.names, ("%s (%s)"):format(op.name or op.kind, op.site or "?")) end

local load_node

local NODES = {
    leaf = function(loading, node)
        local read = node[2]
        if read then
            load_op(loading, read)
            note(loading, read)
        end
        return { type = "leaf", read = read }
    end,

    chain = function(loading, node)
        local input, ops = load_node(loading, node[2]), {}
        for at, op in ipairs(node[3]) do
            if op[1] then -- [difference, op, of task?]: it asks for the number of its partition
                local shift, of_task = op[1], op[3]
                op = op[2]
                op.shift, op.of_task = shift, of_task
            end
            ops[at] = load_in_order(loading, op)
            note(loading, op)
        end
        return { type = "chain", input = input, ops = ops }
    end,

    concat = function(loading, node)
        local runs = {}
        for at, run in ipairs(node[2]) do runs[at] = { times = run[1], node = load_node(loading, run[2]) } end
        return { type = "concat", runs = runs }
    end,

    zip = function(loading, node)
        local op, children = load_in_order(loading, node[2]), {}
        for at, child in ipairs(node[3]) do children[at] = load_node(loading, child) end
        note(loading, op)
        return { type = "zip", op = op, children = children }
    end,

    same = function(_, node) return { type = "same", nodes_back = node[2], inputs_back = node[3] } end,
}

function load_node(loading, node) return NODES[node[1]](loading, node) end

-- A sink is its descriptor, or [how, descriptor of the exchange's writing side, …].
local function load_sink(loading, sink)
    if not sink[1] then
        if sink.site then
            note(loading, sink)
        else
            table.insert(loading.names, sink.name or sink.kind)
        end
        return { type = "final", op = sink }
    end
    load_op(loading, sink[2])
    note(loading, sink[2])
    return { type = sink[1], op = sink[2], route = sink[3], ascending = sink[4] }
end

---@class moontide.worker.Plan
---@field node table
---@field sink table
---@field slots table[] the operators that have a slot in the task, by slot
---@field summary string its operators and their places in the script, for messages
---@field broadcasts integer[] broadcast variables that its functions refer to
---@field reaches boolean its functions can reach what all tasks of the worker share

--- Reads a plan and loads its functions. Raises when one cannot be loaded.
---@param bytes string
---@return moontide.worker.Plan
function plan.load(bytes)
    local tree = codec.unpack(bytes)
    local loading = { session = unpack_closures.session(), slots = {}, names = {} }
    shared.meet()
    local node = load_node(loading, tree[1])
    local sink = load_sink(loading, tree[2])
    return {
        node = node, sink = sink, slots = loading.slots, summary = table.concat(loading.names, ", "), broadcasts = shared.met(),
        reaches = loading.session.reaches,
    }
end

return plan
