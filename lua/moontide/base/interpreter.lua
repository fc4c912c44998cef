--- Refuses to go on in an interpreter that Moontide cannot run in: it is loaded before everything else, and must be Lua that any
--- version of Lua understands.

local function missing()
    if type(jit) ~= "table" or not pcall(require, "ffi") then
        return "this is " .. _VERSION
    end
    if jit.version_num < 20100 or not pcall(require, "string.buffer") then
        return "this is " .. jit.version .. ", without the library string.buffer"
    end
    if not require("ffi").abi("gc64") then
        return "this is " .. jit.version .. ", built without LUAJIT_ENABLE_GC64"
    end
end

local reason = missing()
if reason then
    error("moontide needs LuaJIT 2.1 with GC64, and " .. reason
        .. "; run the script with `luajit script.lua` or `moontide run script.lua`", 0)
end
