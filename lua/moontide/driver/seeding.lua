--- What the numbers of math.random in workers depend on: the engine's seed, and the places of operators that draw.
---
--- The seed is the setting random.seed, else what the script gave math.randomseed, before start() when there are streams and before
--- the action otherwise, else drawn once for each engine and told at level info.

local loop = require "moontide.driver.loop"
local random = require "moontide.base.random"

local seeding = {}

local given, serial = nil, 0 -- what the script gave math.randomseed, and how often it did

local library_randomseed = math.randomseed

-- luacheck: push ignore 122 (what the script says here counts in workers, too)
function math.randomseed(value)
    library_randomseed(value)
    given, serial = tonumber(value), serial + 1
end
-- luacheck: pop

--- Gives the engine of a context its seed.
---@param state table of the context
function seeding.begin(state)
    local seed = state.settings["random.seed"]
    state.seed_fixed = seed ~= nil
    state.seed = seed or given or random.seed()
    state.seed_serial = serial
    state.engine:seed(state.seed)
end

local operators = 0 -- that draw, made outside of batches
local drawing = false -- there are any

-- Once, and only when it is of use.
local function tell(state)
    if drawing and not state.seed_told then
        state.seed_told = true
        require("moontide.core").log("info", "random", ("random.seed is %.0f"):format(state.seed))
    end
end

--- Takes over what the script has given math.randomseed since. With streams under way nothing changes.
---@param state table
function seeding.refresh(state)
    if not state.seed_fixed and state.seed_serial ~= serial and not loop.enclosing() then
        state.seed, state.seed_serial = given, serial
        state.engine:seed(given)
    end
    tell(state)
end

--- From now on the seed is what it is: the streams start.
---@param state table
function seeding.freeze(state)
    seeding.refresh(state)
    state.seed_fixed = true
end

local function hash(text)
    local sum = #text
    for index = 1, #text do
        sum = (sum * 31 + text:byte(index)) % 4294967291
    end
    return sum
end

--- The place of an operator that draws: how many of them came before, in the script or in one call of a function of transform or
--- foreachRDD, so that it is the same in each batch and in each run of the script.
---@param streams? boolean an operator of streams: its datasets differ from batch to batch
---@return integer
---@return boolean? static the dataset is the same whichever batch asks for it
function seeding.place(streams)
    local task = loop.enclosing()
    drawing = true
    if not task then
        operators = operators + 1
        return operators, not streams or nil
    end
    task.draws = (task.draws or 0) + 1
    return hash((task.kind or "") .. (task.site or "")) * 65536 + task.draws
end

--- Whether functions in a package may draw random numbers.
---@param package string
---@return boolean
function seeding.draws(package)
    return package:find("random", 1, true) ~= nil
end

return seeding
