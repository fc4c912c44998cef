-- LuaJIT's betas compile some loops around tables to something else (lua/moontide/base/jit_fixes.lua). Random loops are run compiled, as
-- closures are in a worker and in the driver, and interpreted: the results must be equal. What fails is told with its text
-- and seed; it may depend on chance whether a seed fails again.
--
-- Here 10,000 loops, always the same. More, other ones: `make random-loops LOOPS=1000000 SEED=1`.

local run = require "spec.random_loops.run"

local sanitized = (os.getenv "MOONTIDE_SANITIZE" or "") ~= ""

describe("random loops around tables", function()
    it("compute compiled what they compute interpreted", function()
        local found = {}
        run.loops(sanitized and 500 or 10000, 1, 2, function(text) found[#found + 1] = text end)
        assert.equal("", table.concat(found, "\n"))
    end)

    it("are compiled", function()
        local loop = loadstring(require("spec.random_loops.generate").loop(1, "worker"))()
        local traces = 0
        local function count(what) if what == "stop" then traces = traces + 1 end end
        jit.off(count)
        jit.attach(count, "trace")
        finally(function() jit.attach(count) end)
        for _ = 1, 5 do loop() end
        assert.is_true(traces > 0)
    end)
end)
