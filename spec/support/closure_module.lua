-- A module as scripts have them: functions, state, a class, a handler table. Used by closure_spec and its second process.

local closure_module = {}

local calls = 0

-- Counts its calls in a variable of the module.
function closure_module.count()
    calls = calls + 1
    return calls
end

-- Reads that variable.
function closure_module.calls()
    return calls
end

-- A function that is not in the module's table but has one of the module's variables.
function closure_module.counter()
    return function()
        calls = calls + 1
        return calls
    end
end

local Point = {}
Point.__index = Point

function Point:norm1()
    return math.abs(self.x) + math.abs(self.y)
end

closure_module.Point = Point

function closure_module.point(x, y)
    return setmetatable({ x = x, y = y }, Point)
end

closure_module.handlers = {
    upper = function(text) return text:upper() end,
}

return closure_module
