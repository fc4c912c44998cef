--- Rebuilds packed functions (see `moontide.closure`) in the Lua state of a worker.
--
-- Packages that run together, those of one stage, are loaded in one session: tables and variables that their functions
-- shared in the driver are shared again, and so are the script's globals. A session is used while a stage is compiled
-- and can be dropped then.
--
-- Loading is done in three passes over the nodes of a package, so that cycles need no special care and depth does not
-- matter: make the objects, decide which of them exist in the session already, fill the new ones.
--
-- What is shared. A node is shared with a package loaded before when the driver says that both are the same object (a
-- claim, see `moontide.closure.identity`; the table of globals is always the same) *and* everything reachable from both
-- was equal when they were packed. Closures are snapshots taken at the call of the operator: if the driver changed the
-- table between two calls, each closure keeps the table as it was at its call, wherever the stages are cut. For the
-- globals that is decided name by name: packages share one table of globals unless they disagree about a name.
local new_table = require "table.new"
local directory = require "moontide.closure.directory"
local format = require "moontide.closure.format"
local reach = require "moontide.closure.reach"
local shared_variables = require "moontide.closure.shared"

local TABLE, FUNCTION, CELL, ENV, GLOBAL, PATH, BYTECODE, SHARED =
    format.TABLE, format.FUNCTION, format.CELL, format.ENV, format.GLOBAL, format.PATH, format.BYTECODE, format.SHARED

local setupvalue, upvaluejoin = debug.setupvalue, debug.upvaluejoin
local rawget, rawset, load = rawget, rawset, require("moontide.closure.templates").load

local record, reader = directory.record, directory.reader

---@class moontide.closure.unpack
local M = {}

---@class moontide.unpack.Cell a variable that functions share
---@field fn? function a function that has it
---@field upvalue? integer
---@field value any until the first function was made

---@class moontide.unpack.Env
---@field env table the environment of the rebuilt functions
---@field origin table<string, {[1]: moontide.unpack.Package, [2]: integer}> node that brought a name

-- Sharing with packages loaded before ----------------------------------------------------------------------------

---@class moontide.unpack.Pair a node of the new package and the node of an earlier one that may be the same
---@field node integer
---@field package moontide.unpack.Package
---@field other integer
---@field different boolean
---@field users moontide.unpack.Pair[] pairs that are equal only if this one is

---@class moontide.unpack.Slot the latest node that represents one object of the driver
---@field [1] moontide.unpack.Package
---@field [2] integer

---@class moontide.unpack.Match
---@field package moontide.unpack.Package the new one
---@field candidates table<integer, moontide.unpack.Slot> by node
---@field by_node table<integer, table<moontide.unpack.Package, table<integer, moontide.unpack.Pair>>>
---@field pairs moontide.unpack.Pair[]

local function pair_of(match, node, package, other)
    local by_package = match.by_node[node]
    if not by_package then
        by_package = {}
        match.by_node[node] = by_package
    end
    local by_other = by_package[package]
    if not by_other then
        by_other = {}
        by_package[package] = by_other
    end
    local pair = by_other[other]
    if not pair then
        pair = { node = node, package = package, other = other, different = false, users = {} }
        by_other[other] = pair
        match.pairs[#match.pairs + 1] = pair
    end
    return pair
end

--- `pair` refers to `node` where its counterpart, in `theirs`, refers to `other`: notes what that needs to be equal.
local function depend(match, pair, node, theirs, other)
    local mine = match.package
    local kind = mine.kind[node]
    if kind ~= theirs.kind[other] then
        pair.different = true
    elseif kind == PATH then
        local left, right = mine.b[node], theirs.b[other]
        if mine.a[node] ~= theirs.a[other] or table.concat(left, "\0") ~= table.concat(right, "\0") then
            pair.different = true
        end
    elseif kind == SHARED then
        pair.different = pair.different or mine.a[node] ~= theirs.a[other] or mine.b[node] ~= theirs.b[other]
    elseif kind == BYTECODE then
        pair.different = pair.different or record(mine, node) ~= record(theirs, other)
    elseif kind == FUNCTION then
        local child = pair_of(match, node, theirs, other)
        child.users[#child.users + 1] = pair
    else
        -- Tables, variables and environments have an identity: the same one, or not equal.
        local candidate = match.candidates[node]
        if not candidate or candidate[1].objects[candidate[2]] ~= theirs.objects[other] then
            pair.different = true
        else
            local child = pair_of(match, node, candidate[1], candidate[2])
            child.users[#child.users + 1] = pair
        end
    end
end

--- Compares one value of both records; false when they differ as plain values.
local function compare_value(match, pair, left, theirs, right)
    local left_from, right_from = left.pos, right.pos
    local left_tag, right_tag = left.p[left.pos], right.p[right.pos]
    local node, other = left:skip(), right:skip()
    if left_tag ~= right_tag then
        return false
    elseif node then
        depend(match, pair, node, theirs, other)
        return true
    end
    return left.bytes:sub(left_from + 1, left.pos) == right.bytes:sub(right_from + 1, right.pos)
end

--- Environments are equal when they agree about the names that both know; each name may stem from another package.
local function compare_env(match, pair)
    local mine = match.package
    local env = pair.package.objects[pair.other]
    for i = 1, #mine.globals do
        local node = mine.globals[i]
        if mine.a[node] == pair.node then
            local left = reader(mine, node)
            local origin = env.origin[left:string()]
            if origin then
                local right = reader(origin[1], origin[2])
                right:string()
                if not compare_value(match, pair, left, origin[1], right) then
                    pair.different = true
                end
            end
        end
    end
end

local function compare(match, pair)
    local mine, theirs, node, other = match.package, pair.package, pair.node, pair.other
    local kind = mine.kind[node]
    if kind ~= theirs.kind[other] then
        pair.different = true
        return
    elseif kind == ENV then
        return compare_env(match, pair)
    elseif kind == TABLE then
        if mine.a[node] ~= theirs.a[other] or mine.b[node] ~= theirs.b[other] or mine.c[node] ~= theirs.c[other] then
            pair.different = true
            return
        end
    elseif kind == FUNCTION then
        depend(match, pair, mine.a[node], theirs, theirs.a[other])
        depend(match, pair, mine.b[node], theirs, theirs.b[other])
    end
    local left, right = reader(mine, node), reader(theirs, other)
    if kind == FUNCTION and left:uint() ~= right:uint() then
        pair.different = true
    end
    while not pair.different and left.pos < left.stop do
        if right.pos >= right.stop or not compare_value(match, pair, left, theirs, right) then
            pair.different = true
        end
    end
end

--- Finds out which candidates are equal in everything reachable from them. Returns the objects to use, by node.
local function match_nodes(package, candidates)
    local match = { package = package, candidates = candidates, by_node = {}, pairs = {} }
    for node = 1, package.n do
        local candidate = candidates[node]
        if candidate then
            pair_of(match, node, candidate[1], candidate[2])
        end
    end
    local i = 1
    while i <= #match.pairs do
        compare(match, match.pairs[i])
        i = i + 1
    end

    local different = {}
    for _, pair in ipairs(match.pairs) do
        if pair.different then
            different[#different + 1] = pair
        end
    end
    while #different > 0 do
        local pair = table.remove(different)
        for _, user in ipairs(pair.users) do
            if not user.different then
                user.different = true
                different[#different + 1] = user
            end
        end
    end

    local objects = {}
    for _, pair in ipairs(match.pairs) do
        if not pair.different and objects[pair.node] == nil then
            objects[pair.node] = pair.package.objects[pair.other]
        end
    end
    return objects
end

-- Making and filling --------------------------------------------------------------------------------------------

local function resolve_path(package, node)
    local name, fields = package.a[node], package.b[node]
    local value = _G
    if name ~= "_G" then
        local ok, module = pcall(require, name)
        if not ok then
            error(("the module '%s', needed by %s, can't be loaded in a worker: %s")
                :format(name, package.label, tostring(module)), 0)
        end
        value = module
    end
    local path = name
    for i = 1, #fields do
        local holder = value
        value = nil
        if type(holder) == "table" then
            value = holder[fields[i]]
        end
        if value == nil then
            error(("%s uses field '%s' of '%s', which a worker that loads the module does not find: was it added after "
                .. "the module was loaded? Pass the value in a local variable of the script instead")
                :format(package.label, fields[i], path), 0)
        end
        path = path .. "." .. fields[i]
    end
    return value
end

local function make_objects(package, shared)
    local objects, kind = package.objects, package.kind
    local functions
    for node = 1, package.n do
        local k = kind[node]
        if shared[node] ~= nil then
            objects[node] = shared[node]
        elseif k == TABLE then
            objects[node] = new_table(package.a[node], package.b[node])
        elseif k == FUNCTION then
            functions = functions or {}
            functions[#functions + 1] = node
        elseif k == CELL then
            objects[node] = {}
        elseif k == ENV then
            objects[node] = { env = setmetatable({}, { __index = _G }), origin = {} }
        elseif k == PATH then
            objects[node] = resolve_path(package, node)
        elseif k == SHARED then
            objects[node] = shared_variables.handle(package.a[node], package.b[node])
        end
    end
    for i = 1, functions and #functions or 0 do
        local node = functions[i]
        local fn, err = load(record(package, package.a[node]), "=closure", objects[package.b[node]].env)
        if not fn then
            error(("the bytecode of %s can't be loaded: %s"):format(package.label, err), 0)
        end
        objects[node] = fn
    end
end

local function fill_table(r, t, objects, array, hash, has_metatable)
    for i = 1, array do
        t[i] = r:value(objects)
    end
    for _ = 1, hash do
        local key = r:value(objects)
        t[key] = r:value(objects)
    end
    if has_metatable == 1 then
        debug.setmetatable(t, r:value(objects))
    end
end

local function fill_function(r, fn, objects)
    for i = 1, r:uint() do
        local value, node = r:value(objects)
        if node then
            local cell = objects[node]
            if cell.fn then
                upvaluejoin(fn, i, cell.fn, cell.upvalue)
            else
                cell.fn, cell.upvalue = fn, i
            end
        else
            setupvalue(fn, i, value)
        end
    end
end

-- Fields of the standard libraries that scripts have added, of all sessions: a library is one thing for the whole state,
-- and what it lacks may be filled in, but nothing that it has may be replaced.
local added_fields = {}

local function fill_added(name, value)
    local library, field = name:match("^(%w+)%.(.*)$")
    local holder = _G[library]
    if type(holder) == "table" and (added_fields[name] or rawget(holder, field) == nil) then
        added_fields[name] = true
        rawset(holder, field, value)
    end
end

local function fill_global(package, node, r, env, objects)
    local name = r:string()
    if not env.origin[name] then
        env.origin[name] = { package, node }
        local value = r:value(objects)
        if name:find(".", 1, true) then
            fill_added(name, value)
        elseif value ~= nil then
            -- What the script calls _G is where its globals are.
            rawset(env.env, name, name == "_G" and value == _G and env.env or value)
        end
    end
end

local function fill_objects(package, shared)
    local objects, kind = package.objects, package.kind
    local cells
    -- One reader for all records: they follow each other in the order of the nodes.
    local r = format.reader(package.bytes, package.root, package.root)
    for node = 1, package.n do
        r.pos, r.stop = package.from[node], package.to[node]
        local k = kind[node]
        if k == GLOBAL then
            fill_global(package, node, r, objects[package.a[node]], objects)
        elseif shared[node] == nil then
            if k == TABLE then
                fill_table(r, objects[node], objects, package.a[node], package.b[node], package.c[node])
            elseif k == FUNCTION then
                fill_function(r, objects[node], objects)
            elseif k == SHARED and package.a[node] == "Accumulator" then
                local zero = r:value(objects)
                shared_variables.complete(objects[node], zero, (r:value(objects)))
            elseif k == CELL then
                objects[node].value = r:value(objects)
                cells = cells or {}
                cells[#cells + 1] = objects[node]
            end
        end
    end
    for i = 1, cells and #cells or 0 do
        local cell = cells[i]
        setupvalue(cell.fn, cell.upvalue, cell.value)
        cell.value = nil
    end
end

-- Sessions -------------------------------------------------------------------------------------------------------

---@class moontide.unpack.Session
---@field instances table<string, moontide.unpack.Package[]> packages that brought nodes, by the key that claims use
---@field slots table<moontide.unpack.Package, table<integer, moontide.unpack.Slot>>
---@field orphans table<string, moontide.unpack.Slot> claimed nodes whose package is not loaded (yet)
---@field envs moontide.unpack.Slot[] the tables of globals
---@field reaches boolean a function that was loaded can reach what all tasks of a worker share (lua/moontide/closure/reach.lua)
local Session = {}
Session.__index = Session

local function is_tracked(package, node)
    local kind = package.kind[node]
    return kind == TABLE or kind == CELL or (kind == ENV and package.a[node] == 0)
end

--- The slot a claim speaks of, or nil when nothing that has been loaded stands for that object.
function Session:claimed_slot(claim)
    local list = self.instances[claim.key]
    if not list then
        return self.orphans[claim.name .. claim.target]
    end
    local package = list[math.max(1, #list - claim.rank)]
    local slots = self.slots[package]
    local slot = slots[claim.target]
    if not slot then
        slot = { package, claim.target }
        slots[claim.target] = slot
    end
    return slot
end

function Session:candidates(package)
    local candidates = {}
    for _, claim in ipairs(package.claims) do
        candidates[claim.node] = self:claimed_slot(claim)
    end
    if next(self.orphans) then
        for node = 1, package.n do
            if not package.claimed[node] and is_tracked(package, node) then
                candidates[node] = self.orphans[package.name .. node]
            end
        end
    end
    return candidates
end

--- Decides which nodes of the package exist already: node to object.
function Session:shared(package, candidates)
    local main
    for node = 1, package.n do
        if package.kind[node] == ENV and package.a[node] == 1 then
            main = node
            break
        end
    end
    if main then
        for i = #self.envs, 1, -1 do
            candidates[main] = self.envs[i]
            local objects = match_nodes(package, candidates)
            if objects[main] ~= nil then
                return objects
            end
        end
        candidates[main] = nil
    end
    local objects = next(candidates) and match_nodes(package, candidates) or {}
    return objects, main
end

function Session:register(package, candidates, shared, new_main)
    if new_main then
        self.envs[#self.envs + 1] = { package, new_main }
    end
    local slots = {}
    self.slots[package] = slots
    for _, claim in ipairs(package.claims) do
        local slot = candidates[claim.node]
        if not slot then
            self.orphans[claim.name .. claim.target] = { package, claim.node }
        elseif shared[claim.node] == nil then
            slot[1], slot[2] = package, claim.node
        end
    end
    local first, count = nil, 0
    for node = 1, package.n do
        if not package.claimed[node] and is_tracked(package, node) then
            first, count = first or node, count + 1
            local slot = candidates[node]
            if slot then
                self.orphans[package.name .. node] = nil
                slots[node] = slot
                if shared[node] == nil then
                    slot[1], slot[2] = package, node
                end
            end
        end
    end
    if first then
        local key = package.name .. first .. "/" .. count
        local list = self.instances[key] or {}
        list[#list + 1] = package
        self.instances[key] = list
    end
end

-- Whether functions of the package can reach what all tasks of a worker share.
local function reaches_shared(package)
    for node = 1, package.n do
        local kind = package.kind[node]
        if kind == FUNCTION and reach.of_function(package.objects[node])
            or kind == PATH and reach.of_path(package.a[node], package.b[node], package.objects[node])
            or kind == SHARED then
            return true
        end
    end
    return false
end

local function load_package(session, bytes)
    local package = directory.open(bytes)
    local candidates = session:candidates(package)
    local shared, new_main = session:shared(package, candidates)
    make_objects(package, shared)
    fill_objects(package, shared)
    session:register(package, candidates, shared, new_main)
    session.reaches = session.reaches or reaches_shared(package)
    return (format.reader(bytes, package.root, #bytes):value(package.objects))
end

--- Rebuilds one package. Tables, variables and globals that it has in common with packages loaded in this session
--- before are shared with them.
---@param bytes string made by `closure.pack` or `closure.pack_value`
---@return any value the function (or value); nil when it can't be loaded
---@return string? err what is wrong: damaged bytes, another LuaJIT build, a module that can't be loaded
function Session:load(bytes)
    local ok, value = pcall(load_package, self, bytes)
    if not ok then
        return nil, tostring(value)
    end
    return value
end

--- A session for packages that run together.
---
--- ```lua
--- local session = unpack.session()
--- local count, report = assert(session:load(a)), assert(session:load(b))
--- ```
---@return moontide.unpack.Session
function M.session()
    return setmetatable({ instances = {}, slots = {}, orphans = {}, envs = {}, reaches = false }, Session)
end

--- Rebuilds one package on its own.
---@param bytes string
---@return any value
---@return string? err
function M.load(bytes)
    return M.session():load(bytes)
end

shared_variables.load_package = M.load

return M
