-- What the closure specs have in common: scripts from text, packages there and back, and cleaning up.

local closure = require "moontide.closure"
local unpack_package = require "moontide.closure.unpack"

local closure_support = {}

--- A module for the functions of the specs to use.
closure_support.MODULE = "spec.support.closure_module"

--- Runs `text` as a script called job.lua, with the real globals, and returns what it returns.
function closure_support.script(text, ...)
    return assert(loadstring(text, "@job.lua"))(...)
end

--- A function as a worker has it.
function closure_support.ship(fn)
    return assert(unpack_package.load((closure.pack(fn, "map", "f"))))
end

--- A value as a worker has it.
function closure_support.ship_value(value)
    local result, err = unpack_package.load(assert(closure.try_pack_value(value, "fold", "the zero value")))
    assert(err == nil, err)
    return result
end

--- The message with which a function is refused.
function closure_support.refusal(fn, operator, role)
    local bytes, message = closure.try_pack(fn, operator or "map", role or "f")
    assert(bytes == nil, "the function was not refused")
    assert(type(message) == "string")
    return message
end

--- `text` has each of the parts, as they are.
function closure_support.contains(text, ...)
    for _, part in ipairs({ ... }) do
        assert(text:find(part, 1, true), ("expected %q in %q"):format(part, text))
    end
end

local undo = {}

--- Runs `fn` after the test, last one first.
function closure_support.cleanup(fn)
    undo[#undo + 1] = fn
end

--- Lets a test define these globals.
function closure_support.with_globals(...)
    for _, name in ipairs({ ... }) do
        closure_support.cleanup(function() rawset(_G, name, nil) end)
    end
end

--- The module, loaded anew for this test.
function closure_support.with_module()
    package.loaded[closure_support.MODULE] = nil
    closure_support.cleanup(function() package.loaded[closure_support.MODULE] = nil end)
    return require(closure_support.MODULE)
end

--- For after_each.
function closure_support.undo()
    while #undo > 0 do
        table.remove(undo)()
    end
end

return closure_support
