--- A queue of events for listeners, which may be slower than what they are told of: it holds so many, and further ones are dropped
--- and counted, as Spark's listener bus does.

local queue = {}

---@class moontide.EventQueue
---@field first integer index of the oldest event
---@field last integer index of the newest; less than `first`: there is none
---@field most integer
---@field dropped integer since the last call of take_dropped
local Queue = {}
Queue.__index = Queue

--- Makes an empty queue.
---@param most integer how many events it holds
---@return moontide.EventQueue
function queue.new(most)
    return setmetatable({ first = 1, last = 0, most = most, dropped = 0 }, Queue)
end

--- Appends an event, or counts it as dropped when there is no room.
---@param event table
---@return boolean taken
function Queue:push(event)
    if self.last - self.first + 1 >= self.most then
        self.dropped = self.dropped + 1
        return false
    end
    self.last = self.last + 1
    self[self.last] = event
    return true
end

--- Takes the oldest event out; nil when there is none.
---@return table?
function Queue:pop()
    local event = self[self.first]
    if event ~= nil then
        self[self.first] = nil
        self.first = self.first + 1
    end
    return event
end

--- Whether there is no event.
---@return boolean
function Queue:is_empty()
    return self.last < self.first
end

--- How many were dropped since the last call.
---@return integer
function Queue:take_dropped()
    local dropped = self.dropped
    self.dropped = 0
    return dropped
end

return queue
