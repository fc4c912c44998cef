--- Whether a function of the script can reach what all tasks of a worker share: the library's tables, the global table, the tables
--- of modules. Most functions cannot, and after a task of such functions nothing has to be put right there
--- (lua/moontide/worker/surroundings.lua).
---
--- A function reaches only what its package brings, what it names as a global, and what it is given: records, which are plain data.
--- So it is enough to look at the names and at the paths of its package. In doubt the answer is yes: a function that names a
--- whole library, string.format, reaches it.
local util = require "jit.util"
local band, rshift = bit.band, bit.rshift
local constant, instruction_at, info_of = util.funck, util.funcbc, util.funcinfo

local reach = {}

local function set(names)
    local list = {}
    for name in names:gmatch "%S+" do list[name] = true end
    return list
end

-- Functions that give access to nothing but their arguments. getmetatable is none: getmetatable("").__index is a library.
local FUNCTIONS = set [[assert collectgarbage error ipairs next pairs pcall print rawequal rawget rawlen rawset select setmetatable
    tonumber tostring type unpack xpcall]]

-- Libraries all of whose functions are such. What they change of the process is noted when it happens (io.output).
local LIBRARIES = set "bit coroutine io math os string table"

local GGET = band(instruction_at(function() return x end, 1), 0xff) -- luacheck: ignore 113

-- A script's own globals come with the package and so are in the function's environment.
local function is_harmless(name, env) return FUNCTIONS[name] or name ~= "_G" and rawget(env, name) ~= nil end

local function names_shared(fn, env)
    for pc = 1, info_of(fn).bytecodes - 1 do
        local instruction = instruction_at(fn, pc)
        if band(instruction, 0xff) == GGET and not is_harmless(constant(fn, -rshift(instruction, 16) - 1), env) then
            return true
        end
    end
    local at = -1
    while info_of(fn).children do
        local child = constant(fn, at)
        if child == nil then
            return false
        end
        if type(child) == "proto" and names_shared(child, env) then
            return true
        end
        at = at - 1
    end
    return false
end

--- Whether the code of a function names something shared, or something that is not known when it is loaded.
---@param fn function that was rebuilt from a package
---@return boolean
function reach.of_function(fn) return names_shared(fn, getfenv(fn)) end

--- Whether what a package has by its path gives access to more than its arguments: all but well-known functions does.
---@param module string name for require
---@param fields string[] to be followed from there
---@param value any what was found
---@return boolean
function reach.of_path(module, fields, value)
    return type(value) ~= "function" or #fields ~= 1 or not (LIBRARIES[module] or module == "_G" and FUNCTIONS[fields[1]])
end

return reach
