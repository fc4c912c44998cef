-- Computes a dataset once and uses it several times.
--
-- Shows: persist, storage levels and unpersist, counted with an accumulator.
--
--     moontide run examples/persist.lua
--
-- Prints how often the lines were parsed: for each action without persist, once with it.

local moontide = require "moontide"

local sc = moontide.Context("local[2]", "Persist")
local parsed_lines = sc:accumulator(0)

local readings = sc:parallelize({ "Brest 6.9", "Dover 6.7", "Faro 3.4", "Brest 7.1" })
    :map(function(line)
        parsed_lines:add(1)
        local port, metres = line:match("^(%S+) (%S+)$")
        return port, tonumber(metres)
    end)

local function use(title)
    local before = parsed_lines:value()
    local ports = readings:keys():distinct():count()
    local highest = readings:values():max()
    print(string.format("%s: %d ports, highest %.1f m, %d lines parsed", title, ports, highest,
        parsed_lines:value() - before))
end

use("computed each time")
readings:persist(moontide.StorageLevel.MEMORY_ONLY_SER)
use("kept from now on")
use("and again")
readings:unpersist()
use("given up")
sc:stop()

--[[ prints:
computed each time: 3 ports, highest 7.1 m, 8 lines parsed
kept from now on: 3 ports, highest 7.1 m, 4 lines parsed
and again: 3 ports, highest 7.1 m, 0 lines parsed
given up: 3 ports, highest 7.1 m, 8 lines parsed
]]
