-- Keeps clear of a mistake of LuaJIT's compiler. Loaded first, by the driver's state and by every worker's.
--
-- In the 2.1 betas, which Linux distributions ship, loads from a table made in the same trace may be replaced by what its
-- constructor says, although another store or a rehash came between (LuaJIT issues 980 and 994, fixed in the rolling
-- releases of 2023). Such a loop computes with wrong values, or leaves a trace behind that crashes the garbage collector.
--
-- So the optimisation, load forwarding, is off. Without it loops over plain values take five to ten times as long, as FFI
-- pointers are then really allocated: too much for workers. There it is off only from the moment a table constructor comes up
-- in a trace (fixes.watch). The driver's state runs few loops, and under stock luajit it is the script's, whose own handlers of
-- compiler events are left alone.

local fixes = {}

local set_option = require("jit.opt").start
local wrong = jit.version:find("beta", 1, true) ~= nil

if wrong then
    set_option("-fwd")
end

-- The opcode after the function header.
local function first_opcode(fn)
    return bit.band((require("jit.util").funcbc(fn, 1)), 0xff)
end

local function forward_without_tables(heard)
    local band, instruction_at = bit.band, require("jit.util").funcbc
    local TNEW, TDUP = first_opcode(function() return {} end), first_opcode(function() return { 1 } end)

    -- Whether forwarding is off: the trace being recorded makes tables.
    local careful = true
    -- By trace: whether it makes tables. Those that branch off from it may begin with tables that it left unmade.
    local makes_tables = {}

    local function be_careful(on)
        if on ~= careful then
            careful = on
            set_option(on and "-fwd" or "+fwd")
        end
    end

    -- Each bytecode instruction, before it is recorded.
    local function on_record(_, fn, pc)
        local instruction = not careful and pc >= 0 and instruction_at(fn, pc)
        if instruction then
            local opcode = band(instruction, 0xff)
            if opcode == TNEW or opcode == TDUP then
                be_careful(true)
            end
        end
    end

    local function on_trace(what, trace, fn, pc, parent)
        if what == "start" then
            be_careful(parent ~= nil and makes_tables[parent] or false)
        elseif what == "stop" then
            makes_tables[trace] = careful
            be_careful(false)
        elseif what == "abort" then
            be_careful(false)
        elseif what == "flush" then
            makes_tables = {}
        end
        heard(what, trace, fn, pc)
    end

    for _, fn in ipairs { be_careful, on_record, on_trace } do
        jit.off(fn)
    end
    be_careful(false)
    jit.attach(on_record, "record")
    jit.attach(on_trace, "trace")
end

-- A trace that is abandoned while the lowest function of a coroutine is none of Lua's, as after a tail call of pcall, and that is
-- told to somebody, ends the process (LuaJIT issue 1087). So each coroutine has a function of Lua at its bottom that stays.
local function anchor_coroutines()
    local create, wrap = coroutine.create, coroutine.wrap

    local function pass(...)
        return ...
    end

    local function anchored(name, fn)
        if type(fn) ~= "function" then
            error(string.format("bad argument #1 to '%s' (function expected, got %s)", name,
                fn == nil and "no value" or type(fn)), 3)
        end
        return function(...)
            return pass(fn(...))
        end
    end

    -- luacheck: push ignore 122 (replacing the library's is what this is for)
    function coroutine.create(fn)
        return create(anchored("create", fn))
    end

    function coroutine.wrap(fn)
        return wrap(anchored("wrap", fn))
    end
    -- luacheck: pop
end

--- Has `heard` told of each trace that starts, stops, is aborted or flushed (LuaJIT's event "trace"), and load forwarding
--- used wherever it is right. For the states of workers.
---
--- LuaJIT calls `heard` while it compiles, so neither it nor what it calls may be compiled itself (jit.off).
--- @param heard fun(what: string, trace: integer, fn: function, pc: integer)
function fixes.watch(heard)
    if wrong then
        anchor_coroutines()
        forward_without_tables(heard)
    else
        jit.attach(heard, "trace")
    end
end

return fixes
