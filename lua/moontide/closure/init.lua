--- Packs Lua functions, with everything they use, into bytes that another Lua state can run.
--
-- Operators pack the functions they are given when they are called, in the driver; workers rebuild them with
-- `moontide.closure.unpack`. What travels:
--
--   * the function's bytecode and that of the functions nested in it;
--   * its upvalues, recursively: plain values, tables (cycles, shared references, metatables) and Lua functions.
--     A variable that is never assigned to travels as its value; one that is assigned to stays one variable for all
--     functions that use it, also across the packages of one stage (`moontide.closure.identity`);
--   * the script's globals that it names. Workers keep them in a table of their own that falls back to `_G`; a global
--     that is undefined now stays undefined until a worker assigns it;
--   * what the script added to the standard libraries, when a function names the field (`string.trim`, `s:trim()`);
--   * modules, and what belongs to a module or library, by name (`moontide.closure.library`);
--   * shared variables, by their number (`moontide.driver.shared`).
--
-- What has no meaning outside of this state is refused with the way to it (`moontide.closure.refusal`).
--
-- Packing walks the graph with a work list, never by recursion, so the depth of a structure does not matter. Each
-- function, table, … is a node, numbered when it is met first; records are written in that order (see
-- `moontide.closure.format`). The same graph gives the same bytes: table keys are written in a fixed order and the
-- bytecode is made canonical (`moontide.closure.bytecode`).
local new_table = require "table.new"
local bytecode = require "moontide.closure.bytecode"
local functions = require "moontide.closure.functions"
local globals = require "moontide.closure.globals"
local format = require "moontide.closure.format"
local identity = require "moontide.closure.identity"
local library = require "moontide.closure.library"
local refusal = require "moontide.closure.refusal"

local type, rawget, rawequal = type, rawget, rawequal
local next = require("moontide.base.iterate").next
local getmetatable = debug.getmetatable
local getupvalue, upvalueid = debug.getupvalue, debug.upvalueid
local sort = table.sort

---@class moontide.closure
local M = {}

local static, is_constant = functions.static, functions.is_constant

--- Packages may be this big, in bytes.
M.MAX_BYTES = 64 * 1024 * 1024

-- The graph ------------------------------------------------------------------------------------------------------

---@class moontide.closure.Graph one package being made
---@field operator string
---@field role string
---@field root any
---@field is_function boolean
---@field site string
---@field source? string of the root function
---@field n integer nodes
---@field kind string[] per node
---@field object any[] per node
---@field parent integer[] per node, how it was reached
---@field how string[]
---@field what any[]
---@field branch string[] the root's upvalue or global through which it was reached
---@field sizes table<string, integer> bytes by branch
---@field index table<any, integer> node of a table, function or path
---@field cells table<userdata, integer> node of a variable
---@field cell_id table<integer, userdata>
---@field cell_upvalue table<integer, integer>
---@field envs table<table, integer>
---@field named table<integer, table<string, boolean>> names already written, by environment
---@field bytecodes table<string, integer>
---@field current_label? string the branch being written
---@field current_start? integer where it began
---@field keeps? boolean contexts, streams and datasets are no reason to refuse
---@field dir moontide.closure.Writer
---@field body moontide.closure.Writer

--- Raised (as a table) by the walk, caught by `try_pack`.
---@class moontide.closure.Refused
---@field message string

local function refuse(message)
    error({ message = message }, 0)
end

local function add(graph, kind, object, parent, how, what)
    local node = graph.n + 1
    graph.n = node
    graph.kind[node] = kind
    graph.object[node] = object
    if parent > 0 then
        graph.parent[node], graph.how[node], graph.what[node] = parent, how, what
        graph.branch[node] = graph.branch[parent] or (parent == 1 and how and refusal.step(how, what)) or nil
    end
    return node
end

--- The class name of a context, stream or dataset.
local function handle_class(value)
    local mt = getmetatable(value)
    local class = type(mt) == "table" and rawget(mt, "__moontide")
    return type(class) == "string" and class or nil
end

--- Handles that workers have a use for: they travel as their number.
local SHARED = { Broadcast = true, Accumulator = true }

local function is_own_module(path)
    return path.module == "moontide" or path.module:find("^moontide%.") ~= nil
end

--- The path by which a value should travel, or nil if by value.
local function path_of(graph, value)
    local path = library.find(value)
    if not path then
        return nil
    end
    -- A function of the script that the script put into a module: workers load the module without it.
    if type(value) == "function" and not path.standard and #path > 0 and graph.source
        and (static(value) or {}).source == graph.source and library.is_foreign(path, graph.source) then
        return nil
    end
    return path
end

--- What travels of a shared variable, nil for anything else: moontide.driver.shared sets it.
---@type fun(value: any): string?, integer?, string?, function?
M.portable = nil

--- The node of a value that is not plain; new ones wait for their turn in the work list.
local function node_of(graph, value, parent, how, what)
    local node = graph.index[value]
    if node then
        return node
    end
    local t = type(value)
    local path = path_of(graph, value)
    local class = (t == "table" or t == "userdata") and not (path and is_own_module(path)) and handle_class(value)
    if class and SHARED[class] and M.portable(value) then
        node = add(graph, "shared", value, parent, how, what)
        graph.index[value] = node
        return node
    elseif class and not graph.keeps then
        refuse(refusal.handle(graph, parent, how, what, class))
    end
    if not path and t == "function" and not static(value) then
        -- Perhaps a module got it as a new field since the modules were looked at.
        library.refresh(true)
        path = library.find(value)
    end
    if class then -- who reads the package has a handle of its own to put here
        node = add(graph, "table", {}, parent, how, what)
    elseif path then
        node = add(graph, "path", path, parent, how, what)
    elseif t == "table" then
        node = add(graph, "table", value, parent, how, what)
    elseif t == "function" and static(value) then
        node = add(graph, "function", value, parent, how, what)
    else
        refuse(refusal.value(graph, parent, how, what, value))
    end
    graph.index[value] = node
    return node
end

local function write(graph, value, parent, how, what)
    local body = graph.body
    if not body:scalar(value) then
        body:ref(node_of(graph, value, parent, how, what))
    end
end

-- Records --------------------------------------------------------------------------------------------------------

--- What orders table keys that are objects: something of their content, for they have no order of their own.
local function signature(key)
    local t = type(key)
    if t == "function" then
        local path = library.find(key)
        return path and "path " .. library.describe(path)
            or static(key) and "function " .. static(key).scan.dump or "C"
    elseif t == "table" then
        local path = library.find(key)
        if path then
            return "path " .. library.describe(path)
        end
        local parts, n = {}, 0
        for k, v in next, key do
            local tk, tv = type(k), type(v)
            if (tk == "string" or tk == "number" or tk == "boolean") and n < 256 then
                n = n + 1
                parts[n] = tk .. " " .. tostring(k) .. "="
                    .. ((tv == "string" or tv == "number" or tv == "boolean") and tostring(v) or tv)
            end
        end
        sort(parts)
        return "table " .. table.concat(parts, "\0")
    end
    return t .. " " .. tostring(key)
end

local function sort_objects(graph, keys)
    if #keys < 2 then
        return
    end
    local order, position = {}, {}
    for i = 1, #keys do
        local key = keys[i]
        -- Nodes met already have a place; the rest follows.
        local node = graph.index[key]
        order[key] = node and ("a%010d"):format(node) or "b" .. signature(key)
        position[key] = i
    end
    sort(keys, function(a, b)
        if order[a] ~= order[b] then
            return order[a] < order[b]
        end
        return position[a] < position[b]
    end)
end

local function write_pairs(graph, node, t, keys)
    local body = graph.body
    for i = 1, #keys do
        local key = keys[i]
        local value = rawget(t, key)
        if not body:scalar(key) then
            body:ref(node_of(graph, key, node, "key", key))
        end
        if not body:scalar(value) then
            body:ref(node_of(graph, value, node, "field", key))
        end
    end
end

--- Writes all entries but the first `n` of the list part: numbers, strings, booleans, objects.
local function write_hash(graph, node, t, n)
    local numbers, strings, booleans, objects = {}, {}, {}, {}
    for key in next, t do
        local kind = type(key)
        if kind == "string" then
            strings[#strings + 1] = key
        elseif kind == "number" then
            if key < 1 or key > n or key % 1 ~= 0 then
                numbers[#numbers + 1] = key
            end
        elseif kind == "boolean" then
            if key then
                booleans[#booleans + 1] = true
            else
                table.insert(booleans, 1, false)
            end
        else
            objects[#objects + 1] = key
        end
    end
    sort(numbers)
    sort(strings)
    sort_objects(graph, objects)
    write_pairs(graph, node, t, numbers)
    write_pairs(graph, node, t, strings)
    write_pairs(graph, node, t, booleans)
    write_pairs(graph, node, t, objects)
end

local function write_table(graph, node)
    local t, dir, body = graph.object[node], graph.dir, graph.body
    local n = 0
    while true do
        local value = rawget(t, n + 1)
        if value == nil then
            break
        end
        n = n + 1
        if not body:scalar(value) then
            body:ref(node_of(graph, value, node, "field", n))
        end
    end

    local entries = 0
    for _ in next, t do
        entries = entries + 1
    end
    if entries > n then
        write_hash(graph, node, t, n)
    end

    local mt = getmetatable(t)
    if mt then
        body:ref(node_of(graph, mt, node, "metatable"))
    end
    dir:byte(format.TABLE)
    dir:uint(n)
    dir:uint(entries - n)
    dir:byte(mt and 1 or 0)
end

local function write_function(graph, node)
    local fn, dir, body = graph.object[node], graph.dir, graph.body
    local scan = static(fn).scan
    local constant = {}
    body:uint(scan.upvalues)
    for i = 1, scan.upvalues do
        local name, value = getupvalue(fn, i)
        local id = upvalueid(fn, i)
        local before = body.n
        if node == 1 then
            graph.current_label, graph.current_start = refusal.step("upvalue", name), before
        end
        constant[i] = is_constant(fn, i, id)
        if constant[i] then
            write(graph, value, node, "upvalue", name)
        else
            local cell = graph.cells[id]
            if not cell then
                cell = add(graph, "cell", fn, node, "upvalue", name)
                graph.cells[id], graph.cell_id[cell], graph.cell_upvalue[cell] = cell, id, i
            end
            body:cell(cell)
        end
        if node == 1 then
            graph.sizes[graph.current_label] = (graph.sizes[graph.current_label] or 0) + body.n - before
        end
    end

    local code = bytecode.seal(scan, constant)
    local code_node = graph.bytecodes[code]
    if not code_node then
        code_node = add(graph, "bytecode", code, node)
        graph.bytecodes[code] = code_node
    end
    local env = getfenv(fn)
    local env_node = graph.envs[env]
    if not env_node then
        env_node = add(graph, "env", env, node)
        graph.envs[env], graph.named[env_node] = env_node, {}
    end
    local named = graph.named[env_node]
    for _, name in ipairs(globals.of(scan, env)) do
        if not named[name] then
            named[name] = true
            local entry = add(graph, "global", env, node, "global", name)
            graph.cell_upvalue[entry] = env_node
        end
    end
    for _, item in ipairs(library.added(scan.strings)) do
        local name = item[1] .. "." .. item[2]
        if not named[name] then
            named[name] = true
            local entry = add(graph, "added", item[3], node, "added", name)
            graph.cell_upvalue[entry] = env_node
        end
    end
    dir:byte(format.FUNCTION)
    dir:uint(code_node)
    dir:uint(env_node)
end

local records = {
    table = write_table,
    ["function"] = write_function,
    cell = function(graph, node)
        local _, value = getupvalue(graph.object[node], graph.cell_upvalue[node])
        write(graph, value, node)
        graph.dir:byte(format.CELL)
    end,
    env = function(graph, node)
        graph.dir:byte(format.ENV)
        graph.dir:byte(rawequal(graph.object[node], _G) and 1 or 0)
    end,
    global = function(graph, node)
        local name = graph.what[node]
        graph.body:string(name)
        write(graph, globals.read(graph.object[node], name), node)
        graph.dir:byte(format.GLOBAL)
        graph.dir:uint(graph.cell_upvalue[node])
    end,
    added = function(graph, node)
        graph.body:string(graph.what[node])
        write(graph, graph.object[node], node)
        graph.dir:byte(format.GLOBAL)
        graph.dir:uint(graph.cell_upvalue[node])
    end,
    path = function(graph, node)
        local path, dir = graph.object[node], graph.dir
        dir:byte(format.PATH)
        dir:string(path.module)
        dir:uint(#path)
        for i = 1, #path do
            dir:string(path[i])
        end
    end,
    shared = function(graph, node)
        local dir = graph.dir
        local class, id, zero, merge = M.portable(graph.object[node])
        if class == "Accumulator" then
            write(graph, zero, node)
            write(graph, merge, node, "field", "merge")
        end
        dir:byte(format.SHARED)
        dir:string(class)
        dir:uint(id)
    end,
    bytecode = function(graph, node)
        local code = graph.object[node]
        graph.body:raw(code, #code)
        graph.dir:byte(format.BYTECODE)
    end,
}

--- Writes the root and then node after node, while writing a node appends the nodes it refers to.
local function walk(graph)
    local dir, body, sizes, branch = graph.dir, graph.body, graph.sizes, graph.branch
    library.refresh()
    dir:string(graph.site)
    write(graph, graph.root, 0)
    local node = 1
    while node <= graph.n do
        local before = body.n
        local label = branch[node]
        graph.current_label, graph.current_start = label, before
        records[graph.kind[node]](graph, node)
        dir:uint(body.n - before)
        if label then
            sizes[label] = (sizes[label] or 0) + body.n - before
        end
        node = node + 1
    end
end

local function tracked_nodes(graph)
    local tracked = {}
    for node = 1, graph.n do
        local kind = graph.kind[node]
        if kind == "table" then
            tracked[#tracked + 1] = { node = node, table = graph.object[node] }
        elseif kind == "env" and not rawequal(graph.object[node], _G) then
            tracked[#tracked + 1] = { node = node, env = graph.object[node] }
        elseif kind == "cell" then
            tracked[#tracked + 1] = {
                node = node, cell = graph.cell_id[node], fn = graph.object[node], upvalue = graph.cell_upvalue[node],
            }
        end
    end
    return tracked
end

-- The writers are kept from package to package; a package made while another is being made (from a metamethod of the
-- script's environment) gets its own.
local spare_dir, spare_body

local function take_writers(limit)
    local dir, body = spare_dir or format.writer(limit), spare_body or format.writer(limit)
    spare_dir, spare_body = nil, nil
    dir:reset(limit)
    body:reset(limit)
    return dir, body
end

local function pack_root(root, operator, role, is_function, keeps)
    local limit = M.MAX_BYTES
    local dir, body = take_writers(limit)
    local known = type(root) == "function" and static(root)
    ---@type moontide.closure.Graph
    local graph = {
        operator = operator, role = role, root = root, is_function = is_function,
        site = type(root) == "function" and M.site(root) or role,
        source = known and known.source or nil,
        n = 0, kind = new_table(8, 0), object = new_table(8, 0), parent = new_table(8, 0), how = new_table(8, 0),
        what = new_table(8, 0), branch = new_table(8, 0),
        sizes = {}, index = {}, cells = {}, cell_id = {}, cell_upvalue = {}, envs = {}, named = {}, bytecodes = {},
        dir = dir, body = body, keeps = keeps,
    }
    local ok, err = pcall(walk, graph)
    if ok and dir.n + body.n > limit then
        ok, err = false, format.TOO_BIG
    end
    if not ok then
        if err == format.TOO_BIG then
            local label = graph.current_label
            if label then
                graph.sizes[label] = (graph.sizes[label] or 0) + (body.wanted or body.n) - graph.current_start
            end
            return nil, refusal.size(graph, limit)
        elseif type(err) == "table" then
            return nil, err.message
        end
        error(err, 0)
    end
    local content = format.content(graph.n, dir, body)
    spare_dir, spare_body = dir, body
    local tracked = tracked_nodes(graph)
    return format.assemble(content, #tracked > 0 and identity.settle(tracked, content.name) or "")
end

-- Public ---------------------------------------------------------------------------------------------------------

--- Packs a function for workers.
---
--- ```lua
--- local bytes, message = closure.try_pack(function(x) return x * factor end, "map", "f")
--- ```
---@param fn function
---@param operator string the operator's name, for messages, e.g. "map"
---@param role string the parameter's name, for messages, e.g. "f"
---@return string? bytes nil when the function can't be shipped
---@return string? message why it can't
function M.try_pack(fn, operator, role)
    if type(fn) ~= "function" then
        return nil, ("%s: %s must be a function, got %s"):format(operator, role, type(fn))
    end
    return pack_root(fn, operator, role, true)
end

--- Like `try_pack`, but raises the message (without a position, it names the function's).
---@param fn function
---@param operator string
---@param role string
---@return string bytes
function M.pack(fn, operator, role)
    local bytes, message = M.try_pack(fn, operator, role)
    if not bytes then
        error(message, 0)
    end
    return bytes
end

--- Packs a value that travels with an operator, such as the zero value of a fold, by the rules for upvalues.
---@param value any
---@param operator string the operator's name, for messages
---@param what string what the value is, for messages, e.g. "the zero value"
---@return string? bytes
---@return string? message why it can't be shipped
function M.try_pack_value(value, operator, what)
    return pack_root(value, operator, what, false)
end

--- Why a function that runs in the driver, with what it uses, could not be stored and run by another process; nil when it could.
--- Contexts, streams and datasets are not in the way: the other process has its own.
---@param fn function
---@param operator string the operator's name, for messages
---@return string? reason
function M.not_storable(fn, operator)
    local bytes, message = pack_root(fn, operator, "f", true, true)
    return not bytes and message or nil
end

--- Where a function was written: `job.lua:12`, or `[C] string.upper` for a library function.
---@param fn function
---@return string
function M.site(fn)
    return refusal.site(fn)
end

return M
