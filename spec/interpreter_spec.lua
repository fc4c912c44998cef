-- An interpreter that Moontide cannot run in is told so, and not sent into a syntax error.

local shell = require "spec.support.shell"

local search = "package.path = '" .. (package.path:gsub("\\", "\\\\")) .. "' "

local function run(interpreter, script)
    return shell.run(shell.command({ interpreter, "-e", search .. script }))
end

describe("require \"moontide\"", function()
    it("names LuaJIT in Lua 5.1", function()
        if shell.run("command -v lua5.1").code ~= 0 then
            pending("there is no lua5.1")
            return
        end
        for _, module in ipairs({ "moontide", "moontide.testing" }) do
            local result = run("lua5.1", "require '" .. module .. "'")
            assert.equal(1, result.code)
            assert.equal("lua5.1: moontide needs LuaJIT 2.1 with GC64, and this is Lua 5.1; "
                .. "run the script with `luajit script.lua` or `moontide run script.lua`", result.err:match("^[^\n]*"))
        end
    end)

    it("names what an old or different LuaJIT lacks", function()
        local function reason(change)
            return run("luajit", change .. " print(select(2, pcall(require, 'moontide')))").out
        end
        assert.matches("and this is LuaJIT 2.0.5, without the library string.buffer;",
            reason("jit.version_num, jit.version = 20005, 'LuaJIT 2.0.5'"), 1, true)
        assert.matches("without the library string.buffer;", reason(
            "package.preload['string.buffer'] = function() error('none') end package.loaded['string.buffer'] = nil"), 1, true)
        assert.matches("built without LUAJIT_ENABLE_GC64;",
            reason("local ffi = require 'ffi' function ffi.abi() return false end"), 1, true)
        assert.matches("this is Lua 5.1;", reason("jit = nil"), 1, true)
    end)
end)
