--- Finalizers of the script that fail: told once for each Lua state, and of no other consequence.
---
--- LuaJIT raises what a finalizer raises wherever garbage happens to be collected: in any function of the script, in ours, or on the
--- way out of compiled code, where nothing can catch it and the process ends. So what sets finalizers makes them protected calls.
local ffi = require "ffi"

local finalizers = { ran = false } -- ran: a finalizer has been called since somebody set it to false

local newproxy, gc, metatype, set_metatable = newproxy, ffi.gc, ffi.metatype, debug.setmetatable
local told = false

local function tell(why)
    if told then
        return
    end
    told = true
    local text = type(why) == "string" and why or ("(a %s)"):format(type(why))
    finalizers.tell("a finalizer (__gc, ffi.gc) of the script failed: " .. text .. "; further ones are not told")
end

-- Functions of C libraries raise nothing.
local function protected(finalize)
    if finalize == nil or type(finalize) == "cdata" then
        return finalize
    end
    return function(object)
        finalizers.ran = true
        local ok, why = pcall(finalize, object)
        if not ok then
            tell(why)
        end
    end
end

-- For metatables of proxies: the first function that is put there is protected.
local guard = { __newindex = function(metatable, key, value)
    rawset(metatable, key, key == "__gc" and protected(value) or value)
end }

--- Like the library's.
---@param like? boolean|userdata
---@return userdata
function finalizers.newproxy(like)
    local proxy = newproxy(like)
    if like == true then
        setmetatable(getmetatable(proxy), guard)
    end
    return proxy
end

--- Like debug.setmetatable.
---@param value any
---@param metatable? table
---@return any value
function finalizers.setmetatable(value, metatable)
    local finalize = type(value) == "userdata" and type(metatable) == "table" and rawget(metatable, "__gc")
    if finalize then
        rawset(metatable, "__gc", protected(finalize))
    end
    return set_metatable(value, metatable)
end

--- Like ffi.gc.
---@param object ffi.cdata*
---@param finalize? any a function, a C function, or nil
---@return ffi.cdata* object
function finalizers.gc(object, finalize) return gc(object, protected(finalize)) end

--- Like ffi.metatype.
---@param ctype any
---@param metatable table
---@return ffi.ctype*
function finalizers.metatype(ctype, metatable)
    if type(metatable) == "table" then
        metatable.__gc = protected(metatable.__gc)
    end
    return metatype(ctype, metatable)
end

--- Puts these in the place of the library's functions.
---@param report fun(text: string) is called when a finalizer has failed
function finalizers.install(report)
    finalizers.tell = report
    rawset(_G, "newproxy", finalizers.newproxy)
    -- luacheck: push ignore 122 (replacing the library's is what this is for)
    debug.setmetatable = finalizers.setmetatable
    ffi.gc, ffi.metatype = finalizers.gc, finalizers.metatype
    -- luacheck: pop
end

return finalizers
