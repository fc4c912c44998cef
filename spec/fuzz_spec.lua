-- The fuzz targets of spec/fuzz on a fixed set of generated inputs: the same every time. `make fuzz` goes on from there.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local build = os.getenv("MOONTIDE_BUILD") or "build"
local inputs = (os.getenv("MOONTIDE_SANITIZE") or "") == "" and 5000 or 1000

local function targets()
    local names = {}
    for name in shell.run("ls spec/fuzz/fuzz_*.c").out:gmatch("spec/fuzz/([%w_]+)%.c") do
        names[#names + 1] = name
    end
    return names
end

local function run(name, ...)
    return shell.run(shell.command({ build .. "/fuzz/" .. name, ... }), { timeout = 120 })
end

describe("fuzz targets:", function()
    for _, name in ipairs(targets()) do
        it(name .. " holds on generated inputs", function()
            local result = run(name, "--inputs", inputs)
            assert.equal("", result.err)
            assert.equal(name .. ": " .. inputs .. " inputs\n", result.out)
            assert.equal(0, result.code)
        end)
    end
end)

describe("the driver of fuzz targets", function()
    local dir
    before_each(function() dir = tempdir.new() end)
    after_each(function() dir:remove() end)

    it("makes the same input for the same seed and number, writes it and tries files", function()
        run("fuzz_lines", "--seed", 7, "--inputs", 3, "--corpus", dir.path)
        local third = dir:read("generated-7-2")
        assert.is_true(#third > 0)
        assert.not_equal(third, dir:read("generated-7-1"))
        os.remove(dir:file("generated-7-2"))
        run("fuzz_lines", "--seed", 7, "--first", 2, "--inputs", 1, "--corpus", dir.path)
        assert.equal(third, dir:read("generated-7-2"))
        assert.equal("fuzz_lines: 2 inputs\n",
            run("fuzz_lines", dir:file("generated-7-1"), dir:file("generated-7-2")).out)
    end)

    it("refuses what it does not know", function()
        local result = run("fuzz_lines", "--inputs", "many")
        assert.equal(2, result.code)
        assert.matches("^usage: .*fuzz_lines %[%-%-inputs N%]", result.err)
        assert.equal(2, run("fuzz_lines", "--colour", 3).code)
        assert.equal(2, run("fuzz_lines", "--inputs").code)
    end)
end)
