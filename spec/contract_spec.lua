-- The contract between C and Lua: host/*/ffi.h say once what both see (host/embed.lua), the compiler and LuaJIT lay it out in the same
-- way, and Lua files of another version than the library are refused.

local fast = require "moontide.wire.ffi"
local contract = require "moontide.wire.cdef"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local ffi = require "ffi"

local COMPILER = os.getenv "CC" or "cc"

local function run(command)
    local result = shell.run(command)
    assert.same({ code = 0, err = "" }, { code = result.code, err = result.err })
    return result.out
end

local function headers()
    local paths = {}
    for path in run("ls host/*/ffi.h"):gmatch("%S+") do
        paths[#paths + 1] = path:match("^host/(.*)$")
    end
    assert(#paths > 0, "no header was found: run the specs from the top folder")
    return paths
end

-- The names of the structs with their fields, and those of the enumerators.
local function declared(text)
    local structs, enumerators = {}, {}
    for name, body in text:gmatch("struct (tide_[%w_]+) (%b{});") do
        local fields = {}
        for line in body:sub(2, -2):gmatch("[^;]+") do
            for declarator in line:gmatch("[^,]+") do
                fields[#fields + 1] = declarator:gsub("%b[]", ""):match("([%w_]+)%s*$")
            end
        end
        structs[#structs + 1] = { name = name, fields = fields }
    end
    for body in text:gmatch("enum [%w_ ]*(%b{});") do
        for entry in body:sub(2, -2):gmatch("[^,]+") do
            enumerators[#enumerators + 1] = entry:match("TIDE_[%w_]+")
        end
    end
    return structs, enumerators
end

describe("the contract between C and Lua", function()
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() dir:remove() end)

    it("has every offset, size and enumerator in FFI as in C", function()
        local structs, enumerators = declared(contract.text)
        assert.is_true(#structs > 3 and #enumerators > 20)
        local program, expected = {}, {}
        local function line(format, ...)
            program[#program + 1] = format:format(...)
        end
        local function compare(name, expression, value)
            line('    printf("%s %%lld\\n", (long long)%s);', name, expression)
            expected[#expected + 1] = ("%s %.0f\n"):format(name, tonumber(value))
        end
        line("#include <stddef.h>\n#include <stdio.h>")
        for _, path in ipairs(headers()) do line('#include "%s"', path) end
        line("int main(void) {")
        for _, struct in ipairs(structs) do
            local ctype = "struct " .. struct.name
            compare(struct.name, ("sizeof(%s)"):format(ctype), ffi.sizeof(ctype))
            for _, field in ipairs(struct.fields) do
                compare(struct.name .. "." .. field, ("offsetof(%s, %s)"):format(ctype, field), ffi.offsetof(ctype, field))
            end
        end
        for _, name in ipairs(enumerators) do compare(name, name, fast.C[name]) end
        line("    return 0;\n}\n")
        local source = dir:write("layout.c", table.concat(program, "\n"))
        run(("%s -std=gnu11 -Ihost -o %s %s"):format(COMPILER, dir:file "layout", source))
        assert.equal(table.concat(expected), run(dir:file "layout"))
    end)

    it("has every function that is declared", function()
        local count = 0
        for name in contract.text:gmatch("(tide_[%w_]+)%(") do
            assert(fast.C[name] ~= nil, name)
            count = count + 1
        end
        assert.is_true(count > 20)
    end)

    it("does not compile when a prototype changes in the header alone", function()
        local path = "wire/ffi.h"
        local file = assert(io.open("host/" .. path))
        local text = file:read "*a"
        file:close()
        local changed, count = text:gsub("tide_key_make_plain%(uint8_t %*key, size_t size%)",
            "tide_key_make_plain(uint8_t *key, uint32_t size)")
        assert.equal(1, count)
        run("mkdir " .. dir:file "wire")
        local compile = ("%s -std=gnu11 -D_GNU_SOURCE= -fsyntax-only -I%s -Ihost host/wire/key.c"):format(COMPILER, dir.path)
        dir:write(path, text)
        run(compile)
        dir:write(path, changed)
        local result = shell.run(compile)
        assert.is_true(result.code ~= 0)
        assert.truthy(result.err:find("conflicting types for .*tide_key_make_plain"))
    end)

    it("is one declaration: Lua declares what C libraries have and structs of its own, nothing of this library", function()
        assert.equal("lua/moontide/base/declare.lua\n", run([[grep -rlF ffi.cdef lua | grep -v hints]]))
        local texts = 0
        for path in run([[grep -rlF declare.cdef lua]]):gmatch("%S+") do
            local file = assert(io.open(path))
            local source = file:read("*a")
            file:close()
            for _, form in ipairs({ "declare%.cdef %[%[(.-)%]%]", 'declare%.cdef "(.-)"\n' }) do
                for text in source:gmatch(form) do
                    texts = texts + 1
                    assert(not text:find "%f[%w_]tide_%w+ *[({]", path .. " declares\n" .. text)
                end
            end
        end
        assert.is_true(texts > 4)
    end)

    it("refuses Lua files of another version than the library", function()
        if (os.getenv("MOONTIDE_SANITIZE") or "") ~= "" then
            return pending("a stock luajit cannot load an instrumented module")
        end
        run(("cp -r lua %s"):format(dir:file "lua"))
        local function load(version, before)
            dir:write("lua/moontide/base/version.lua", ("return %q\n"):format(version))
            return shell.run(([[luajit -e '%s print(pcall(require, "moontide.context"))']]):format(before or ""),
                { env = { LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua"):format(dir.path, dir.path) } }).out
        end
        assert.truthy(load(contract.version):find "^true")
        local refusal = load "0.0.9"
        assert(refusal:find("^false\tmoontide: the Lua files are of version 0%.0%.9, and the library they found, /.*core%.so, is of version "
            .. contract.version:gsub("%p", "%%%0") .. "; install both from the same build"), refusal)
        local older = load(contract.version, [[require "moontide.core" package.preload["moontide.wire.cdef"] = nil]])
        assert(older:find("^false\tmoontide: the Lua files .*core%.so, is older; install both"), older)
    end)
end)
