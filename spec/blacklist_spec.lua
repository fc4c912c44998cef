-- LuaJIT gives up ("blacklists") a loop or function after some failed attempts at compiling it, and then everything that reaches
-- it is interpreted, for as long as the process lives: jobs become three times slower in some processes and not in others, as the
-- layout of memory has it. No place of Moontide's own code may be given up. One process says little, so there are ten.

local shell = require "spec.support.shell"

local sanitized = (os.getenv "MOONTIDE_SANITIZE" or "") ~= ""
local PROCESSES = sanitized and 1 or 10
local RECORDS, KEYS, ROUNDS = sanitized and "3000" or "24000", sanitized and "2000" or "20000", "6"

describe("after state updates, joins, shuffles of tables and word counts", function()
    for process = 1, PROCESSES do
        it("no place of ours is given up by the compiler, process " .. process, function()
            local result = shell.moontide({ "run", "spec/support/blacklist_job.lua", RECORDS, KEYS, ROUNDS })
            assert.equal("", result.err)
            assert.equal("done\n", result.out)
            assert.equal(0, result.code)
        end)
    end

    it("the measure finds what is given up", function()
        local moontide = require "moontide"
        local sc = moontide.Context("local[1]", "given up")
        finally(function() sc:stop() end)
        local function given_up() return { require("moontide.worker").given_up() } end
        local function turn_off() jit.off(require("moontide.worker.state_delta").skip) end
        local function skip_often()
            local skip, data, after = require("moontide.worker.state_delta").skip, require("ffi").new("uint8_t[16]"), 0
            for _ = 1, 20000 do after = after + skip(data, 0) end
            return { after }
        end
        local function places(before)
            return (sc:parallelize({ 1 }, 1):mapPartitions(before):count() and sc:parallelize({ 1 }, 1):mapPartitions(given_up):first())
        end
        assert.same({}, places(skip_often))
        sc:parallelize({ 1 }, 1):foreachPartition(turn_off)
        local place, count = next(places(skip_often))
        assert.matches("^moontide/worker/state_delta%.lua:%d+$", place)
        assert.is_true(count > 0)
    end)
end)
