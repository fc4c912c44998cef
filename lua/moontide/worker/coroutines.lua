--- Coroutines in workers. A function that is given to an operator cannot yield: it is called by a loop over records, and for mapPartitions
--- in a coroutine of ours, which would take the yield for its own and lose records.
local C = require("moontide.wire.ffi").C

local coroutines = {
    -- For our modules.
    create = coroutine.create, yield = coroutine.yield,
}

local own = setmetatable({}, { __mode = "k" }) -- made by functions of the script

local function pass(...) return ... end

-- Each coroutine has a Lua stack of its own, but they share the thread's, which must not end first.
-- No string, because coroutine.wrap puts a place in front of one at each level.
local SHORT_OF_STACK = setmetatable({}, { __tostring = function()
    return "stack overflow: coroutines resume one another without end, or begin deep within calls that do"
end })

local function marked(fn)
    if type(fn) ~= "function" then
        return fn
    end
    local running = coroutine.running
    return function(...)
        if C.tide_thread_stack_is_short() then
            error(SHORT_OF_STACK)
        end
        own[running()] = true
        return pass(fn(...))
    end
end

--- Replaces create, wrap and yield of the library, for functions of scripts.
function coroutines.install()
    local create, wrap, yield, running = coroutine.create, coroutine.wrap, coroutine.yield, coroutine.running
    -- luacheck: push ignore 122 (replacing the library's is what this is for)
    function coroutine.create(fn) return create(marked(fn)) end

    function coroutine.wrap(fn) return wrap(marked(fn)) end

    function coroutine.yield(...)
        local co = running()
        if co == nil or not own[co] then
            error("coroutine.yield was called outside of a coroutine of the function's own: a function given to an operator "
                .. "can't wait; return an array, or an iterator that coroutine.wrap makes", 2)
        end
        return yield(...)
    end
    -- luacheck: pop
end

return coroutines
