--- The C side as LuaJIT sees it: the library, and what host/*/ffi.h declare of it. The library carries these declarations (the
--- module moontide.wire.cdef, made by host/embed.lua), so they are those that it was compiled with. Lua files of another
--- version may use them in another way: they are refused.
local declare = require "moontide.base.declare"
local version = require "moontide.base.version"
local ffi = require "ffi"

local library = package.loaded["moontide.library"] -- host/vm/vm.c
if library == nil then
    library = require("moontide.core").library()
end

local contract = package.preload["moontide.wire.cdef"] and require "moontide.wire.cdef"
if not contract or contract.version ~= version then
    error(("moontide: the Lua files are of version %s, and the library they found, %s, is %s; install both from the same build, or let "
        .. "LUA_PATH and LUA_CPATH begin with the folders of one build"):format(version, library or "the program",
            contract and "of version " .. contract.version or "older"), 0)
end
declare.cdef(contract.text)

local C = library and ffi.load(library) or ffi.C
if C.tide_stress() then
    C = require("moontide.wire.stress").wrap(C, tonumber(C.tide_stress_draw() % 2147483646ULL) + 1)
end

return { C = C, ffi = ffi }
