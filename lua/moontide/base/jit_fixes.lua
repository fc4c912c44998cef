--- Keeps clear of a mistake of LuaJIT's compiler. Loaded first, by the driver's state and by every worker's.
---
--- In the 2.1 betas, which Linux distributions ship, loads from a table made in the same trace may be replaced by what its
--- constructor says, although another store or a rehash came between (LuaJIT issues 980 and 994, fixed in the rolling
--- releases of 2023). Such a loop computes with wrong values, or leaves a trace behind that crashes the garbage collector.
---
--- Those betas also forward the length of a list across a store through another name of the same list (mended in May 2022):
--- `#list` is then what it was before `other[#list + 1] = x`. No constructor is needed for that.
---
--- So the optimisation, load forwarding, is off. Without it loops over plain values take five to ten times as long, as FFI
-- pointers are then really allocated: too much for workers. There it is off only from the moment a table constructor comes up
-- in a trace, or a trace both asks for the length of a table and stores under a number (fixes.watch). The driver's state runs
-- few loops, and under stock luajit it is the script's, whose own handlers of compiler events are left alone.
--
-- The betas also fuse the load of a table's field into the instruction that uses the value, across a store of a new key between
-- the two (LuaJIT issue 1117, mended in November 2023). When that store moves the table's fields, freed memory is read:
-- `local first = t[1] t[#t + 1] = x sum = sum + first`. So operands in memory are not fused into instructions: never in the
-- driver's state, and in workers not in traces that both read and store elements. Without fusion a reduceByKey of keys that its
-- closure makes takes 1.6 times as long.

local refusals = require "moontide.base.jit_refusals"

local fixes = {}

local set_option = require("jit.opt").start
local wrong = jit.version:find("beta", 1, true) ~= nil

--- Whether this LuaJIT is one of the betas.
fixes.beta = wrong

if wrong then
    set_option("-fwd", "-fuse")
end

--- Options of the compiler that are right in every state, at any time.
---@type string[]
fixes.options = wrong and { "-fuse" } or {}

-- getmetatable(file), compiled, is whatever a register of the compiler held: another table, a type that is none, a crash
-- (LuaJIT issue 1279, in the betas and the rolling releases until September 2024). That path is not taken when the metatable
-- says what getmetatable is to return.
local of_files = debug.getmetatable(io.stdout)
if of_files.__metatable == nil then
    of_files.__metatable = of_files
end

-- The opcode after the function header.
local function first_opcode(fn)
    return bit.band((require("jit.util").funcbc(fn, 1)), 0xff)
end

-- What a function of the library does to tables when it is called: "read", "length" and "store" as the instructions do, "both", or "make";
-- or to integers of 64 bits.
local function effects_of_library()
    local effects = { [rawset] = "store", [bit.band] = "mask" }
    for _, name in ipairs { "lshift", "rshift", "arshift", "rol", "ror" } do
        effects[bit[name]] = "shift"
    end
    for _, fn in pairs(table) do
        effects[fn] = "both"
    end
    for _, fn in ipairs { rawget, unpack, (ipairs {}) } do
        effects[fn] = "read"
    end
    effects[require "table.clear"] = "both"
    effects[require "table.new"] = "make"
    return effects
end

local function forward_without_tables(heard)
    local band, rshift, instruction_at = bit.band, bit.rshift, require("jit.util").funcbc
    local getlocal, getinfo, find = debug.getlocal, debug.getinfo, string.find
    local getmetatable, look = debug.getmetatable, refusals.look
    local TNEW, TDUP = first_opcode(function() return {} end), first_opcode(function() return { 1 } end)
    local LEN = first_opcode(function(t) return #t end)
    local TSETV, TSETB = first_opcode(function(t, k) t[k] = k end), first_opcode(function(t, k) t[1] = k end)
    local TSETS = first_opcode(function(t, k) t.k = k end)
    local TGETV, TGETB = first_opcode(function(t, k) return t[k] end), first_opcode(function(t) return t[1] end)
    local TGETS = first_opcode(function(t) return t.k end)
    local effects = effects_of_library()
    local is_library = { [string] = true, [math] = true, [table] = true, [bit] = true, [_G] = true }

    -- Whether forwarding is off: the trace being recorded makes tables, or has both a length and a store.
    local careful = true
    local has_length, has_store = false, false
    local has_mask, has_shift = false, false
    -- Operands in memory are fused into instructions unless the trace both reads and stores elements: what was read of a list would be
    -- fetched only where it is used, after a store that moves the list's elements (LuaJIT issue 1117, mended in November 2023).
    local has_get, has_put, fuses = false, false, true
    -- By trace: whether it was off. Those that branch off from it may begin with tables that it left unmade.
    local was_careful = {}

    local function fuse(on)
        fuses = on
        set_option(on and "+fuse" or "-fuse")
    end

    local function be_careful(on)
        if on ~= careful then
            careful = on
            set_option(on and "-fwd" or "+fwd")
        end
        if on and fuses then
            fuse(false)
        end
    end

    local function begin_trace(parent)
        has_length, has_store, has_mask, has_shift, has_get, has_put = false, false, false, false, false, false
        fuse(true)
        be_careful(parent ~= nil and was_careful[parent] or false)
    end

    -- Our own code and the loops that it generates read and store in tables of their own, which functions of the script do not see.
    -- Level 2 is on_record, 3 the function whose instruction is being recorded.
    local function is_ours(level)
        local info = getinfo(level, "S")
        return info ~= nil and (find(info.source, "^@moontide/") or find(info.source, "^=stage#")) ~= nil
    end

    local function note_elements(get, put)
        has_get, has_put = has_get or get, has_put or put
        if has_get and has_put and fuses then
            fuse(false)
        end
    end

    -- The value in a register of the function whose instruction is being recorded; nil when it cannot be seen. Level 2 is
    -- on_record, 3 that function.
    local function register(slot)
        local _, value = getlocal(3, slot + 1)
        return value
    end

    -- The betas also take a key for there that a store through another name of the table took away, and leave out the call of
    -- __newindex (LuaJIT issue 1133, mended in December 2023).
    local function has_newindex(value)
        local metatable = type(value) == "table" and getmetatable(value)
        return metatable and rawget(metatable, "__newindex") ~= nil
    end

    -- Strings have lengths too, and pointers are stored through: these are no tables.
    local function is_table(value)
        local kind = type(value)
        return kind ~= "string" and kind ~= "cdata"
    end

    local function note(length, store)
        has_length, has_store = has_length or length, has_store or store
        if has_length and has_store then
            be_careful(true)
        end
    end

    -- The betas shift a masked integer of 64 bits, `bit.rshift(bit.band(x, 0xff00ULL), 8)`, as if the mask were not to be shifted
    -- (LuaJIT issue 1079, mended in September 2023); not when the integers in between are stored.
    local function note_bits(effect)
        local _, first = getlocal(4, 1)
        local _, second = getlocal(4, 2)
        if type(first) == "cdata" or type(second) == "cdata" then
            has_mask, has_shift = has_mask or effect == "mask", has_shift or effect == "shift"
            if has_mask and has_shift then
                be_careful(true)
            end
        end
    end

    -- table.new makes a table that is known while the trace is compiled only when its sizes are constants: in ours they are not.
    -- Level 2 is on_record, 3 the function called, 4 its caller.
    local function note_call(fn)
        local effect = effects[fn]
        if effect == "make" then
            local caller = getinfo(4, "S")
            be_careful(not (caller and find(caller.source, "^@moontide/worker/")))
        elseif effect == "mask" or effect == "shift" then
            note_bits(effect)
        elseif effect then
            if not is_ours(5) then
                note_elements(effect ~= "store", effect ~= "read")
            end
            note(effect == "both", effect ~= "read")
        end
    end

    -- Each bytecode instruction, and each call of a function of the library (pc < 0), before it is recorded.
    local function on_record(_, fn, pc, depth)
        look(fn, pc, depth)
        if careful then
            return
        end
        if pc <= 0 then
            note_call(fn)
        end
        local instruction = pc >= 0 and instruction_at(fn, pc)
        if not instruction then
            return
        end
        local opcode = band(instruction, 0xff)
        if opcode == TNEW or opcode == TDUP then
            be_careful(true)
        elseif opcode == LEN then
            note(is_table(register(rshift(instruction, 16))), false)
        elseif opcode == TSETB or opcode == TSETV or opcode == TSETS then
            local into = register(rshift(instruction, 24))
            local key = opcode == TSETV and type(register(band(rshift(instruction, 16), 0xff)))
            if is_table(into) and not is_ours(3) then
                note_elements(false, true)
            end
            if has_newindex(into) then
                be_careful(true)
            elseif opcode == TSETB or key == "number" or key == "nil" then
                note(false, is_table(into))
            end
        elseif opcode == TGETV or opcode == TGETB or opcode == TGETS then
            local from = register(rshift(instruction, 24))
            if not has_get and is_table(from) and not is_library[from] and not is_ours(3) then
                note_elements(true, false)
            end
        end
    end

    -- The last argument is, at a start, the trace that it branches off from; at an abort, the number of the reason.
    local function on_trace(what, trace, fn, pc, parent_or_reason)
        if what == "start" then
            refusals.begin(pc, parent_or_reason)
            begin_trace(parent_or_reason)
        elseif what == "stop" then
            was_careful[trace] = careful
            be_careful(false)
            fuse(false)
        elseif what == "abort" then
            be_careful(false)
            fuse(false)
        elseif what == "flush" then
            was_careful = {}
        end
        heard(what, trace, fn, pc, parent_or_reason)
    end

    for _, fn in ipairs { fuse, be_careful, begin_trace, is_ours, note_elements, register, has_newindex, is_table, note, note_bits, note_call,
        on_record, on_trace } do
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
            error(("bad argument #1 to '%s' (function expected, got %s)"):format(name,
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
---@param heard fun(what: string, trace: integer, fn: function, pc: integer, parent_or_reason?: integer)
function fixes.watch(heard)
    if wrong then
        anchor_coroutines()
        forward_without_tables(heard)
    elseif refusals.needed then
        refusals.attach(heard)
    else
        jit.attach(heard, "trace")
    end
end

return fixes
