--- The messages for values that cannot be shipped to workers: which variable, where, why, and what to do instead.
--
-- A refusal names the way from the function to the culprit, e.g. `upvalue 'cfg' → field 'db'`; packing records for
-- every node how it was reached, and the way is put together here, when it is needed.
local pairs = require("moontide.base.iterate").pairs
local functions = require "moontide.closure.functions"
local library = require "moontide.closure.library"

local ARROW = " → "

---@class moontide.closure.refusal
local M = {}

--- `job.lua:12`, or `[C] string.upper` for a library function.
---@param fn function
---@return string
function M.site(fn)
    local path = library.find(fn)
    if path and path.standard then
        return "[C] " .. library.describe(path)
    end
    local known = functions.static(fn)
    if known then
        return known.site
    end
    if not path then
        library.refresh()
        path = library.find(fn)
    end
    return path and "[C] " .. library.describe(path) or "[C]"
end

local function quoted(name)
    local text = tostring(name)
    if #text > 40 then
        text = text:sub(1, 37) .. "..."
    end
    return "'" .. text:gsub("%c", "?") .. "'"
end

--- One step of the way, as words.
local function step(how, what)
    if how == "upvalue" then
        return what == "" and "an upvalue without a name" or "upvalue " .. quoted(what)
    elseif how == "global" then
        return "global " .. quoted(what)
    elseif how == "added" then
        return quoted(what)
    elseif how == "field" then
        return type(what) == "string" and "field " .. quoted(what) or "field [" .. tostring(what) .. "]"
    elseif how == "key" then
        return "a table key"
    elseif how == "metatable" then
        return "the metatable"
    end
end

local SHOWN_HEAD, SHOWN_TAIL = 5, 3

--- The way from the root to something reached from node `node` by one more step.
---@param graph moontide.closure.Graph
---@param node integer
---@param how? string
---@param what any
---@return string[] steps
local function way(graph, node, how, what)
    local steps = { how and step(how, what) }
    local at
    while graph.parent[node] do
        -- Variables and globals are nodes of their own; the function they hold is told with the step that leads there.
        if graph.kind[node] == "function" then
            at = " (function at " .. M.site(graph.object[node]) .. ")"
        end
        if graph.how[node] then
            steps[#steps + 1] = step(graph.how[node], graph.what[node]) .. (at or "")
            at = nil
        end
        node = graph.parent[node]
    end
    local n = #steps
    for i = 1, math.floor(n / 2) do
        steps[i], steps[n + 1 - i] = steps[n + 1 - i], steps[i]
    end
    if n > SHOWN_HEAD + SHOWN_TAIL + 1 then
        local short = {}
        for i = 1, SHOWN_HEAD do
            short[i] = steps[i]
        end
        short[SHOWN_HEAD + 1] = ("… (%d steps) …"):format(n - SHOWN_HEAD - SHOWN_TAIL)
        for i = n - SHOWN_TAIL + 1, n do
            short[#short + 1] = steps[i]
        end
        steps = short
    end
    return steps
end

local IN_FUNCTION = "Create it inside the function, or in a module that the function requires (every worker then has "
    .. "its own)."

local HANDLES = {
    { "RDD$", "RDDs live in the driver and can't be shipped to workers: combine them with an operator (join, union, "
        .. "cogroup), or collect() it in the driver and use the resulting plain table." },
    { "Context$", "Contexts live in the driver and can't be shipped to workers: call the context where the script "
        .. "builds the streams, or in transform or foreachRDD, whose functions run in the driver." },
    { "Stream$", "Streams and contexts live in the driver and can't be shipped to workers: combine streams with an "
        .. "operator (join, union, cogroup, transformWith) and work on its records." },
    { "", "It lives in the driver and can't be shipped to workers: take the plain values that the function needs "
        .. "out of it first." },
}

--- What the value is and what to do instead.
local function judge(value)
    local t = type(value)
    local name = t == "userdata" and io.type(value)
    if name then
        return "an open file", "which belongs to the driver's Lua state",
            "Open it inside the function (once per partition with mapPartitions or foreachPartition), or in a module "
            .. "that the function requires."
    elseif t == "userdata" then
        local mt = debug.getmetatable(value)
        local label = type(mt) == "table" and (rawget(mt, "__name") or rawget(mt, "__metatable"))
        if type(label) ~= "string" then
            label = nil
        elseif label == "buffer" then
            label = "string.buffer"
        end
        return label and "a userdata (" .. label .. ")" or "a userdata", "which belongs to the driver's Lua state",
            IN_FUNCTION
    elseif t == "thread" then
        return "a coroutine", "which can't leave the Lua state that runs it",
            "Create it inside the function (mapPartitions sees a whole partition), or use the function it runs instead."
    elseif t == "cdata" then
        local kind = tostring(require("ffi").typeof(value)):match("^ctype<(.*)>$") or "cdata"
        return "a cdata (" .. kind .. ")",
            "which refers to memory of the driver's Lua state (only int64_t and uint64_t travel)", IN_FUNCTION
    elseif t == "function" then
        return "a C function", "which no loaded module offers under a name, so a worker can't find it",
            "Make it a field of a module that the function requires, or create it inside the function (iterators such "
            .. "as those of string.gmatch and coroutine.wrap can't be shipped at all)."
    end
    return "a " .. t, "which can't be shipped to workers", IN_FUNCTION
end

--- How messages call the thing that is being packed: `the function at job.lua:12`.
local function subject(graph)
    if type(graph.root) == "function" and graph.is_function then
        return "the function at " .. graph.site
    end
    return graph.role
end

--- The refusal of a value that has no form outside of this Lua state.
---@param graph moontide.closure.Graph
---@param node integer where it was found
---@param how? string the last step
---@param what any
---@param value any
---@return string
function M.value(graph, node, how, what, value)
    local steps = node > 0 and way(graph, node, how, what) or {}
    local kind, why, remedy = judge(value)
    if #steps == 0 then
        return ("%s: %s is %s, %s. %s"):format(graph.operator, graph.role, kind, why, remedy)
    end
    return ("%s: %s uses %s, %s, %s. %s")
        :format(graph.operator, subject(graph), table.concat(steps, ARROW), kind, why, remedy)
end

--- The refusal of a context, stream or dataset.
---@param graph moontide.closure.Graph
---@param node integer
---@param how? string
---@param what any
---@param class string e.g. "DStream"
---@return string
function M.handle(graph, node, how, what, class)
    local remedy
    for i = 1, #HANDLES do
        if class:find(HANDLES[i][1]) then
            remedy = HANDLES[i][2]
            break
        end
    end
    local article = class:find("^[AEIOUaeiou]") and "an " or class:find("^RDD") and "an " or "a "
    if node == 0 then
        return ("%s: %s is %s%s. %s"):format(graph.operator, graph.role, article, class, remedy)
    end
    local steps = way(graph, node, how, what)
    local kind, name = steps[1]:match("^(%a+) ('.*')$")
    if #steps == 1 and (kind == "upvalue" or kind == "global") then
        -- The common case reads best with the variable's name in front.
        return ("%s: %s uses the %s %s (%s). %s"):format(graph.operator, subject(graph), class, name, kind, remedy)
    end
    return ("%s: %s uses %s%s: %s. %s"):format(graph.operator, subject(graph), article, class,
        table.concat(steps, ARROW), remedy)
end

--- The refusal of a package above the limit.
---@param graph moontide.closure.Graph
---@param limit integer bytes
---@return string
function M.size(graph, limit)
    local biggest, most
    for name, bytes in pairs(graph.sizes) do
        if not most or bytes > most or (bytes == most and name < biggest) then
            biggest, most = name, bytes
        end
    end
    local where = biggest and (", most of it in " .. biggest) or ""
    return ("%s: %s needs a package of more than %.4g MB%s. Every worker gets a copy of a closure, so big data does "
        .. "not belong in one: read it from a file in a module that the function requires, or make it a dataset and "
        .. "join with it.")
        :format(graph.operator, subject(graph), limit / (1024 * 1024), where)
end

--- The name under which the size of what hangs off one upvalue or global is added up.
M.step = step

return M
