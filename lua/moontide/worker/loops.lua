--- Loops over records that are written here and not by generate.lua, one copy for each operator: so LuaJIT compiles them
--- with the operator's own functions in place, and what fails in them is told with the operator's name and call site.
local failure = require "moontide.worker.failure"

local loops = {}

local serial = 0
-- Chunk name → operator: lets go of what belongs to an operator that is not used any more.
local operators = setmetatable({}, { __mode = "v" })

local function forget_with(op, name)
    local guard = newproxy(true)
    getmetatable(guard).__gc = function() failure.forget(name) end
    op.guards = op.guards or {}
    table.insert(op.guards, guard)
end

--- The function that `text` ("return function(…) … end") makes with the constants K, made once for each operator. Its
--- locals `block` and `i`, or `a0` and `b0`, tell which record was worked on when something fails.
---@param op table
---@param role string
---@param text string
---@param constants table
---@param look? fun(locals: table<string, any>): string? what messages tell as the record instead
---@return function
function loops.of(op, role, text, constants, look)
    op.loops = op.loops or {}
    local loop = op.loops[role]
    if loop == nil then
        serial = serial + 1
        local name = "=stage#" .. role .. serial
        operators[name] = op
        failure.register(name, setmetatable({}, { __index = function() return operators[name] end }), nil, look)
        forget_with(op, name)
        local names, locals = {}, {}
        for each in pairs(constants) do names[#names + 1] = each end
        table.sort(names)
        for at, each in ipairs(names) do locals[at] = ("local %s = K.%s"):format(each, each) end
        local chunk, why = loadstring("local K = ... " .. table.concat(locals, " ") .. " " .. text, name)
        if chunk == nil then
            error("moontide: a loop does not compile: " .. why, 0)
        end
        loop = chunk(constants)
        op.loops[role] = loop
    end
    return loop
end

return loops
