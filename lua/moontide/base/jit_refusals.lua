--- What LuaJIT's compiler gets wrong, whatever its options, is left to the interpreter: the recording of such a trace ends.
---
--- * `local a, b = ...` and `x + (...)` in a loop of a function with variable arguments get each argument's neighbour (LuaJIT
---   issue 864, in the 2.1 betas of Linux distributions; mended in July 2022).
--- * `x .. y .. z` of values with a metamethod that takes variable arguments, or is pcall, ends the process (issue 1164, mended in
---   July 2024).
--- * A recursive function that returns to itself in a trace that branches off from another ends the process (issue 1169, mended in
---   March 2024).
--- * A table takes NaN as a new key when the recorded key was a fraction (issue 1069, mended in September 2023).
--- * `s:sub(i, j)` and `s:byte(i, j)` whose j was beyond the end of the string take a negative j for the end as well (issue 1407,
---   mended in November 2025).
local refusals = {}

local band, rshift, instruction_at = bit.band, bit.rshift, require("jit.util").funcbc
local getlocal, off, floor = debug.getlocal, jit.off, math.floor
local set_option = require("jit.opt").start

local released = tonumber(jit.version:match("2%.1%.(%d+)$"))

--- Whether this LuaJIT has such mistakes: the rolling releases are numbered by the second of their last change.
refusals.needed = jit.version:find("beta", 1, true) ~= nil or released ~= nil and released < 1763148144

-- The opcode of an instruction, counted from the function header.
local function opcode_at(fn, pc)
    return (band(instruction_at(fn, pc), 0xff))
end

-- luacheck: push ignore 211
local VARG = opcode_at(function(...)
    local a = ...
end, 1)
-- luacheck: pop
local TSETV = opcode_at(function(t, k) t[k] = k end, 1)
local CAT = opcode_at(function(a, b) return a .. b end, 3)
local RETM, RET1 = opcode_at(function(...) return ... end, 2), opcode_at(function(a) return a end, 1)

local KSHORT = opcode_at(function() return 1 end, 1)
local UGET = opcode_at(function() return VARG end, 1)
local sub, byte = string.sub, string.byte

-- The register that an instruction names first.
local function register_of(fn, pc)
    return (band(rshift(instruction_at(fn, pc), 8), 0xff))
end

-- From the register of a function that is called to that of its third argument.
local THIRD = (function(fn)
    return register_of(fn, 2) - register_of(fn, 3) + 2
end)(function(f, a) f(a) end)

-- The instruction before: what calls a function of the library is recorded before that function.
local caller, call_at

-- Whether the third argument of the call is the same each time.
local function has_constant_third()
    local third = register_of(caller, call_at) + THIRD
    for pc = call_at - 1, 1, -1 do
        if register_of(caller, pc) == third then
            local opcode = opcode_at(caller, pc)
            return opcode == KSHORT or opcode == UGET
        end
    end
    return false
end

-- Where the trace being recorded begins if it branches off from another, and whether it has returned there.
local branch, returned

local function nothing() end

-- A value in a register of the function being recorded: level 2 is refusals.look, 3 the event's handler.
local function register(slot)
    local _, value = getlocal(4, slot + 1)
    return value
end

local function is_plain(value)
    local kind = type(value)
    return kind == "string" or kind == "number"
end

-- Whether a fraction becomes a new key.
local function is_new_fraction(t, key)
    return type(t) == "table" and type(key) == "number" and floor(key) ~= key and rawget(t, key) == nil
end

--- To be told of each trace that starts.
---@param pc integer
---@param parent? integer the trace that it branches off from
function refusals.begin(pc, parent)
    if parent then
        set_option "recunroll=1000" -- else such a trace is done with before it can be refused
    elseif branch then
        set_option "recunroll=2"
    end
    branch, returned = parent and pc, false
end

--- To be called by the handler of LuaJIT's event "record", with its arguments.
---@param fn function
---@param pc integer
---@param depth integer how many calls of the trace are open
function refusals.look(fn, pc, depth)
    if pc < 0 and (fn == sub or fn == byte) then
        local text, stop = register(0), register(2)
        if type(text) == "string" and type(stop) == "number" and stop > #text and not has_constant_third() then
            off(nothing) -- any such change ends the recording
        end
    end
    local instruction = pc > 0 and instruction_at(fn, pc)
    if not instruction then
        return
    end
    caller, call_at = fn, pc
    local opcode, refused = band(instruction, 0xff), false
    if opcode == VARG then
        refused = depth == 0 and rshift(instruction, 24) ~= 0
    elseif opcode == CAT then
        for slot = rshift(instruction, 24), band(rshift(instruction, 16), 0xff) do
            refused = refused or not is_plain(register(slot))
        end
    elseif opcode == TSETV then
        refused = is_new_fraction(register(rshift(instruction, 24)), register(band(rshift(instruction, 16), 0xff)))
    elseif opcode >= RETM and opcode <= RET1 and depth == 0 and pc == branch then
        refused, returned = returned, true
    end
    if refused then
        off(nothing)
    end
end

local function on_record(_, fn, pc, depth)
    refusals.look(fn, pc, depth)
end

local heard

local function on_trace(what, trace, fn, pc, parent_or_reason)
    if what == "start" then
        refusals.begin(pc, parent_or_reason)
    end
    heard(what, trace, fn, pc, parent_or_reason)
end

--- Refuses such traces in a worker's state. Not in the script's: LuaJIT ends the process now and then when its compiler is listened
--- to in a state whose stacks do not all begin with a Lua function (issue 1087), and the script's coroutines are its own.
---@param listener fun(what: string, trace: integer, fn: function, pc: integer, parent_or_reason?: integer) hears the event "trace"
function refusals.attach(listener)
    heard = listener
    jit.attach(on_record, "record")
    jit.attach(on_trace, "trace")
end

for _, fn in ipairs {
    nothing, opcode_at, register_of, has_constant_third, register, is_plain, is_new_fraction, refusals.begin, refusals.look, on_record, on_trace,
} do
    jit.off(fn)
end

return refusals
