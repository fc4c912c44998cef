-- Random numbers that depend on the seed and on nothing else.

local bit = require "bit"

local Random = {}
Random.__index = Random

---@param seed integer
local function new(seed)
    local state = bit.bxor(bit.tobit(seed * 7919 + 1), 0x5bd1e995)
    local self = setmetatable({ state = state == 0 and 1 or state }, Random)
    for _ = 1, 8 do
        self:below(2)
    end
    return self
end

--- 0 … n-1.
function Random:below(n)
    local x = self.state
    x = bit.bxor(x, bit.lshift(x, 13))
    x = bit.bxor(x, bit.rshift(x, 17))
    x = bit.bxor(x, bit.lshift(x, 5))
    self.state = x
    return (x % 0x100000000) % n
end

--- a … b.
function Random:from(a, b)
    return a + self:below(b - a + 1)
end

--- True once in n.
function Random:once_in(n)
    return self:below(n) == 0
end

function Random:pick(list)
    return list[self:from(1, #list)]
end

return { new = new }
