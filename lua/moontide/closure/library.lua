--- Finds the name under which a value can be reached in any Lua state: library functions, modules and what is in them.
--
-- C functions have no bytecode, and a function or class of a module belongs to that module (its state must not be
-- duplicated), so both travel as a path such as `string` -> `gmatch` and the receiving state looks them up with
-- `require`. This module keeps the reverse map from value to path:
--
--   * the standard libraries as they were when this module was loaded; what a script adds to them is the script's
--     own. Workers get such fields of the libraries with the functions that name them (`added`);
--   * every other entry of `package.loaded`, two levels of fields deep, brought up to date when modules were added.
local type, rawget = type, rawget
local next = require("moontide.base.iterate").next

---@class moontide.closure.Path
---@field module string name for `require` ("_G" for the global functions)
---@field [integer] string fields to follow from there
---@field standard? boolean part of LuaJIT's own libraries
---@field file? string|false where the module was loaded from, when it is a Lua file (looked up on demand)

-- Libraries to which scripts like to add functions, with the names that every LuaJIT 2.1 has in them. A field that replaces
-- one of these is not carried to workers: our own code there relies on them. (Names of Lua 5.2 that only some builds have,
-- table.pack and table.unpack, are what scripts add; a worker that has them keeps its own.)
local EXTENSIBLE = {
    string = "byte char dump find format gmatch gsub len lower match rep reverse sub upper",
    table = "concat foreach foreachi getn insert maxn move remove sort",
    math = "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi pow rad "
        .. "random randomseed sin sinh sqrt tan tanh",
    os = "clock date difftime execute exit getenv remove rename setlocale time tmpname",
    io = "close flush input lines open output popen read stderr stdin stdout tmpfile type write",
    bit = "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex",
    coroutine = "close create isyieldable resume running status wrap yield",
}
local own_fields = {}

---@class moontide.closure.library
local M = {}

---@type table<any, moontide.closure.Path>
local paths = setmetatable({}, { __mode = "k" })
local seen = {}

local STANDARD = { "string", "table", "math", "io", "os", "debug", "coroutine", "package", "bit", "jit", "ffi" }
local GLOBAL_FUNCTIONS = {
    "assert", "collectgarbage", "dofile", "error", "gcinfo", "getfenv", "getmetatable", "ipairs", "load", "loadfile",
    "loadstring", "module", "newproxy", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset",
    "require", "select", "setfenv", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall",
}

local reachable = { ["function"] = true, ["table"] = true, userdata = true, cdata = true }

local function register(value, path)
    if reachable[type(value)] and not paths[value] then
        paths[value] = path
    end
end

local function sorted_names(t)
    local names = {}
    for name, value in next, t do
        if type(name) == "string" and reachable[type(value)] then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

-- What a script added to a standard library before it loaded Moontide is the script's own: a Lua function (LuaJIT has some
-- too, without a file), or a module, which is found as such and not as a field of package.loaded.
local function is_added(value)
    if type(value) == "function" then
        local info = debug.getinfo(value, "S")
        return info.what ~= "C" and not info.short_src:find("^%[builtin")
    end
    return value == package.loaded or value == package.preload
end

local function register_fields(name, module, standard)
    if type(module) ~= "table" then
        return
    end
    local names = sorted_names(module)
    if standard then
        for i = #names, 1, -1 do
            if is_added(rawget(module, names[i])) then
                table.remove(names, i)
            end
        end
    end
    for i = 1, #names do
        register(rawget(module, names[i]), { module = name, names[i], standard = standard })
    end
    for i = 1, #names do
        local value = rawget(module, names[i])
        local path = paths[value]
        -- One more level, unless the field is a module of its own or belongs to another one.
        if type(value) == "table" and path.module == name and #path == 1 then
            local inner = sorted_names(value)
            for j = 1, #inner do
                register(rawget(value, inner[j]), { module = name, names[i], inner[j], standard = standard })
            end
        end
    end
end

local function capture_standard()
    local loaded = package.loaded
    register(_G, { module = "_G", standard = true })
    seen._G = _G
    for i = 1, #GLOBAL_FUNCTIONS do
        local name = GLOBAL_FUNCTIONS[i]
        local value = rawget(_G, name)
        -- A Lua function here was put in place by the script, which may do that before it loads Moontide.
        if type(value) == "function" and debug.getinfo(value, "S").what == "C" then
            register(value, { module = "_G", name, standard = true })
        end
    end
    for i = 1, #STANDARD do
        local name = STANDARD[i]
        register(loaded[name], { module = name, standard = true })
    end
    for i = 1, #STANDARD do
        local name = STANDARD[i]
        local module = loaded[name]
        if module then
            seen[name] = module
            register_fields(name, module, true)
        end
    end
end

--- `value` was put in the place of a function of the standard libraries: workers have their own one there.
---@param value function
---@param original function
function M.stands_for(value, original)
    paths[value] = paths[original]
end

--- Scans modules that were loaded or replaced since the last time.
---@param all? boolean scan again also the modules known already, for fields they got since
function M.refresh(all)
    local fresh
    for name, module in next, package.loaded do
        if (seen[name] ~= module or all) and type(name) == "string" and not (paths[module] or {}).standard then
            fresh = fresh or {}
            fresh[#fresh + 1] = name
        end
    end
    if not fresh then
        return
    end
    table.sort(fresh)
    for i = 1, #fresh do
        local name = fresh[i]
        local module = package.loaded[name]
        seen[name] = module
        -- A module goes by its own name even when it was seen as a field of another one before.
        if reachable[type(module)] and not (paths[module] and #paths[module] == 0) then
            paths[module] = { module = name }
        end
    end
    for i = 1, #fresh do
        register_fields(fresh[i], package.loaded[fresh[i]])
    end
end

local function added_to(name, own, strings, added)
    local module = package.loaded[name]
    if type(module) ~= "table" then
        return
    end
    local first = #added + 1
    for field in next, strings do
        if not own[field] and rawget(module, field) ~= nil then
            added[#added + 1] = { name, field, rawget(module, field) }
        end
    end
    -- Sorted within each library.
    for at = first + 1, #added do
        local item = added[at]
        while at > first and added[at - 1][2] > item[2] do
            added[at] = added[at - 1]
            at = at - 1
        end
        added[at] = item
    end
end

--- Those of the fields that the script added to the standard libraries whose names are among some strings, in a fixed order.
--- `string.trim` is asked for as string.trim(s) and as s:trim(): both name the field.
---@param strings table<string, boolean>
---@return { [1]: string, [2]: string, [3]: any }[] fields library, field, value
function M.added(strings)
    local added = {}
    if next(strings) ~= nil then
        for i = 1, #STANDARD do
            local own = own_fields[STANDARD[i]]
            if own then
                added_to(STANDARD[i], own, strings, added)
            end
        end
    end
    return added
end

--- The path of a value, or nil. Does not look for new modules; call `refresh` before.
---@param value any
---@return moontide.closure.Path?
function M.find(value)
    return paths[value]
end

--- Whether `source` (as in debug.getinfo) is another file than the one the path's module was loaded from.
---@param path moontide.closure.Path
---@param source string
---@return boolean
function M.is_foreign(path, source)
    if path.standard or not source:find("^@") then
        return false
    end
    if path.file == nil then
        path.file = package.searchpath(path.module, package.path) or false
    end
    return path.file and source ~= "@" .. path.file or false
end

--- `string.gmatch`, for messages.
---@param path moontide.closure.Path
---@return string
function M.describe(path)
    if path.module == "_G" and path[1] then
        return table.concat(path, ".")
    end
    return table.concat({ path.module, unpack(path) }, ".")
end

for name, fields in next, EXTENSIBLE do
    own_fields[name] = {}
    for field in fields:gmatch("%w+") do
        own_fields[name][field] = true
    end
end
capture_standard()

return M
