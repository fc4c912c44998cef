--- Memory stress, for tests (host/base/stress.h): the library's functions with a collection of all garbage before and after the
--- call. So what Lua holds no longer, but C or a pointer still uses, is gone by then.
---
--- Calls like these are not compiled. What compiled code lets go of earlier than interpreted code would show in no state
--- then, so every second state calls C as it always does, and has its collections at allocations only (host/vm/gcstress.h).
local collectgarbage = collectgarbage

local stress = {}

local FIRST = 8   -- calls of one function that collect for certain
local LATER = 128 -- of those after them one in so many, on average

local function collect()
    if collectgarbage "isrunning" then -- not in a finalizer
        collectgarbage()
    end
end

local function collected(...)
    collect()
    return ...
end

local function crossing(fn, draw)
    local calls, wait = 0, FIRST
    return function(...)
        calls = calls + 1
        if calls > wait then
            wait = calls + draw(2 * LATER)
        end
        if calls > FIRST and calls ~= wait then
            return fn(...)
        end
        collect()
        return collected(fn(...))
    end
end

--- The library's functions, and its enumerators as they are; `C` itself for every second seed.
---@param C any what ffi.load gives
---@param seed integer
function stress.wrap(C, seed)
    if seed % 2 == 0 then
        return C
    end
    local random = seed
    local function draw(most)
        random = (random * 16807) % 2147483647
        return 1 + random % most
    end
    return setmetatable({}, { __index = function(known, name)
        local found = C[name]
        known[name] = type(found) == "number" and found or crossing(found, draw)
        return known[name]
    end })
end

return stress
