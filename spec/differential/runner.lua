-- Runs pipelines on both sides.

local build = require "spec.differential.build"
local compare = require "spec.differential.compare"
local generate = require "spec.differential.generate"
local model = require "spec.differential.model"
local shrink = require "spec.differential.shrink"

local runner = {}

--- What differs between the two sides, or nil.
---@param program table
---@return string? difference
---@return boolean? skipped the program is too big
function runner.difference(program)
    local wanted = model.run(program)
    if not wanted then
        return nil, true
    end
    local ok, got = pcall(build.run, program)
    if not ok then
        return "the library refuses the program: " .. tostring(got)
    end
    return compare.results(program, wanted, got)
end

--- Runs `count` programs, from seed `first` on. Too big ones are replaced by the next.
---@param first integer
---@param count integer
---@param on_difference fun(seed: integer, text: string)
---@param on_program? fun(seed: integer, program: table)
---@param without? table<string, boolean> operators to leave out
---@param skip? boolean functions may fail, and what fails is passed over
---@return integer seed the last one used
function runner.run(first, count, on_difference, on_program, without, skip)
    local seed, done = first - 1, 0
    while done < count do
        seed = seed + 1
        local program = generate.program(seed, build.has, without, skip)
        local difference, skipped = runner.difference(program)
        if not skipped then
            done = done + 1
            if on_program then
                on_program(seed, program)
            end
        end
        if difference then
            local small, why = shrink.program(program, runner.difference)
            on_difference(seed, why .. "\n" .. shrink.describe(small))
        end
    end
    return seed
end

return runner
