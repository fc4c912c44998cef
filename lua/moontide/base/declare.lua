--- ffi.cdef for this library's declarations. LuaJIT refuses to declare a struct twice in a Lua state, and a module may be loaded twice:
--- test runners clear package.loaded between files. What was declared is remembered with the state.

local ffi = require "ffi"

local KEY = "moontide.declared"
local registry = debug.getregistry()
local declared = registry[KEY]
if not declared then
    declared = { texts = {}, metatypes = {} }
    registry[KEY] = declared
end

local declare = {}

--- As ffi.cdef; a text that was declared before is passed over.
---@param text string
function declare.cdef(text)
    if not declared.texts[text] then
        ffi.cdef(text)
        declared.texts[text] = true
    end
end

--- As ffi.metatype; a type keeps the metatable that it got first (LuaJIT has compiled it in).
---@param name string the type, "struct tide_state_delta"
---@param metatable table
---@return ffi.ctype*
function declare.metatype(name, metatable)
    local ctype = declared.metatypes[name]
    if not ctype then
        ctype = ffi.metatype(name, metatable)
        declared.metatypes[name] = ctype
    end
    return ctype
end

return declare
