-- Tests a pipeline on a clock that is moved by hand: batch times are known, and nothing sleeps.
--
-- Shows: moontide.testing: inputs batch by batch, the records that come out, the exact text that print writes.
--
--     moontide run examples/testing_example.lua
--
-- Prints what the pipeline's own `print` shows for two batches, then the verdict.

local testing = require "moontide.testing"

-- The pipeline under test: how long are the words?
local function word_lengths(lines)
    return lines
        :flatMap(function(line) return line:gmatch("%S+") end)
        :map(function(word) return word, #word end)
end

local result = testing.run {
    inputs = { { { "ebb and flow" }, {} } },
    partitions = 1,
    build = function(_, lines)
        local lengths = word_lengths(lines)
        lengths:print()
        return lengths
    end,
}

assert(not result.error, result.error)
assert(#result.batches == 2)
assert(result.batches[1].time == 1000 and result.batches[2].time == 2000)
assert(result.batches[1].records[3][1] == "flow" and result.batches[1].records[3][2] == 4)
assert(#result.batches[2].records == 0)
print("as expected")

--[[ prints:
-------------------------------------------
Time: 1000 ms
-------------------------------------------
(ebb,3)
(and,3)
(flow,4)

-------------------------------------------
Time: 2000 ms
-------------------------------------------

as expected
]]
