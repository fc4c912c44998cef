--- How fast an input may go so that its batches are processed in time: a PID controller that gets the figures of each batch. Pure
--- arithmetic; nothing here reads a clock. Not used yet: it is for back-pressure, which limits what receivers take.
---
---     local estimator = rate_estimator.create("pid", 1000)
---     local rate = estimator:compute(time, records, processing_ms, scheduling_ms)   -- records per second, or nil
---
--- The set point is the rate of the last batch, the error is how much faster the input was allowed to be, and the accumulated
--- error shows in the scheduling delay: records that wait are what was let in too much.

local check = require "moontide.base.check"
local number_text = require "moontide.base.number_text"
local preview = require "moontide.base.preview"

local rate_estimator = {}

---@class moontide.RateEstimator
local Pid = {}
Pid.__index = Pid

--- Tells of a batch that was processed.
---@param time number when processing ended, ms
---@param records number how many it had
---@param processing number how long it took, ms
---@param scheduling number how long it waited before, ms
---@return number? rate records per second; nil: this batch says nothing (the first one, an empty one, an old one)
function Pid:compute(time, records, processing, scheduling)
    if not (time > self.time and records > 0 and processing > 0) then
        return nil
    end
    local elapsed = (time - self.time) / 1000
    local measured = records / processing * 1000
    local err = self.rate - measured
    local waiting = scheduling * measured / self.batch
    local change = (err - self.err) / elapsed
    local rate = math.max(self.rate - self.proportional * err - self.integral * waiting - self.derivative * change,
        self.least)
    self.time = time
    if self.first then
        self.first, self.rate, self.err = false, measured, 0
        return nil
    end
    self.rate, self.err = rate, err
    return rate
end

local function at_least(name, value, least, above)
    if type(value) ~= "number" or value ~= value or value < least or above and value == least then
        check.fail("'pid': %s must be %s %s, got %s", name, above and "greater than" or "at least", number_text(least),
            preview(value))
    end
    return value
end

--- Makes a PID controller.
---@param batch number batch interval, ms; greater than 0
---@param proportional? number weight of the error, default 1
---@param integral? number weight of what waits, default 0.2
---@param derivative? number weight of the error's change, default 0
---@param least? number lowest rate, records per second, default 100
---@return moontide.RateEstimator
function rate_estimator.pid(batch, proportional, integral, derivative, least)
    return setmetatable({
        batch = at_least("the batch interval", batch, 0, true),
        proportional = at_least("the proportional weight", proportional or 1, 0),
        integral = at_least("the integral weight", integral or 0.2, 0),
        derivative = at_least("the derivative weight", derivative or 0, 0),
        least = at_least("the lowest rate", least or 100, 0, true),
        first = true, time = -1, rate = -1, err = -1,
    }, Pid)
end

--- The estimator of that name.
---@param name string "pid"
---@param batch number batch interval, ms
---@param settings? { proportional: number?, integral: number?, derived: number?, minRate: number? }
---@return moontide.RateEstimator
function rate_estimator.create(name, batch, settings)
    if name ~= "pid" then
        check.fail("unknown rate estimator '%s'; the only one is 'pid'", tostring(name))
    end
    settings = settings or {}
    return rate_estimator.pid(batch, settings.proportional, settings.integral, settings.derived, settings.minRate)
end

return rate_estimator
