--- Writes the source text of one specialised loop: reads a block (or an iterator), applies the operators in order with the
--- script's closures called directly, and hands each resulting record to a terminal. LuaJIT compiles the whole loop as one
--- trace with the closures inlined.
---
--- What an operator's function returns (one value or a pair: arity.lua; an array or an iterator) may be known only when it has been
--- called. Text is generated for what is known, a *variant* of the feed (feed.lua). Where it is not known, the text calls the rest of
--- the operators through the tables D1 and D2, which generate their functions when first needed. It takes the tables of the variant
--- for what has been learned by then (`now`): one record may make millions, and all but the first then pass functions without
--- detours. After the first records the loop of another variant takes over.
local arities = require "moontide.worker.arity"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"
local codec = require "moontide.wire.codec"
local fast = require "moontide.wire.ffi"
local randomness = require "moontide.worker.randomness"
local scan = require "moontide.worker.scan"
local surplus = require "moontide.worker.surplus"
local terminals = require "moontide.worker.terminals"

local generate = {}

-- At most so many operators are inlined into one function, by weight; the next one is a call. This keeps clear of Lua's limits on locals
-- and upvalues: operators with a loop of their own over what their function returns need locals that no other operator shares.
local INLINE = 44
local WEIGHTS = { flatMap = 4, flatMapValues = 4 }

local Text = {}
Text.__index = Text

--- The locals of this block of the text for records: two, and one for what a function returns in excess. They are declared when they
--- are first needed. An operator that makes a new record assigns to them, because the record before it is needed no more. (Locals for
--- each operator would stay alive to the end of the block, and with more than some 16 of them LuaJIT does not compile side traces.)
--- The record that was read, a0 and b0, stays as it is for messages.
---@param op table
---@param k integer the operator's number
---@return string v
---@return string w
---@return string x
function Text:pair_of(op, k)
    local own = self.own
    if own == nil then
        own = { "v" .. k, "w" .. k, "x" .. k }
        self.own = own
        self:line(op, ("local %s, %s, %s"):format(own[1], own[2], own[3]))
    end
    return own[1], own[2], own[3]
end

--- Writes a loop's body: a block with locals of its own, because each turn reads the record of the block around it.
function Text:block(body)
    local outer = self.own
    self.own = nil
    body()
    self.own = outer
end

--- Appends a line.
---
---     g:line(op, "if $v == nil then hole($k) end", { v = "v3", k = 3 })  -- if v3 == nil then hole(3) end
---@param op table? the operator that it works for; nil: none
---@param template string
---@param values? table<string, string|integer> what $name in the template stands for
function Text:line(op, template, values)
    local n = #self.lines + 1
    self.lines[n] = values and template:gsub("%$(%a+)", values) or template
    self.ops[n] = op
end

--- Makes these constants locals of the text.
function Text:uses(...)
    for at = 1, select("#", ...) do self.used[select(at, ...)] = true end
end

--- Writes text that refuses a record with a metatable. Needed where no packing follows, which refuses it too. Tables inside the
--- record are not checked: nothing leaves the worker, so no metatable is lost, and a walk would cost more than what is done with
--- the record.
function Text:no_metatable(op, a, k)
    self:line(op, 'if type($a) == "table" and getmetatable($a) ~= nil then has_metatable$k($a) end', { a = a, k = k or "" })
end

--- The weight of this text's operators up to and with operator k.
function Text:weight(k)
    local sum = 0
    for at = self.first, k do sum = sum + (WEIGHTS[self.feed.ops[at].kind] or 1) end
    return sum
end

--- Writes text that gives record (a[, b]) to operator k and all that follow.
function Text:continue(k, arity, a, b)
    local feed = self.feed
    if k > #feed.ops then
        self.uses_terminal = true
        if #feed.draws > 0 then
            self:uses "use"
            self:line(nil, "use.slot = 0")
        end
        feed.terminal:record(self, arity, a, b)
    elseif self:weight(k) > INLINE then
        self:call(k, arity, a, b)
    else
        kinds.find("record", feed.ops[k].kind)(self, k, feed.ops[k], arity, a, b)
    end
end

--- The same as a call through D1 or D2, or (`now`) those of the variant for what has been learned.
function Text:call(k, arity, a, b, now)
    self:line(self.feed.ops[k], self.feed.terminal.can_stop and "if $functions[$k](S, $record) then return true end"
        or "$functions[$k](S, $record)",
        { functions = now and ("now[%d]"):format(arity) or "D" .. arity, k = k, record = terminals.arguments(arity, a, b) })
end

--- Writes what follows operator k in a text that was generated before the arity of its records was known: it made (v[, w]).
function Text:detour(k, op, arity, v, w)
    self:line(op, "if known[$k] ~= $arity then learn($k, $arity, $record) end",
        { k = k, arity = arity, record = terminals.arguments(arity, v, w) })
    self:call_or_end(k + 1, arity, v, w)
end

--- The same where it is not known either whether the record is a pair: w is nil if it is none.
function Text:detour_either(k, op, v, w)
    self:line(op, "if $w == nil then", { w = w })
    self:detour(k, op, 1, v)
    self:line(op, "else")
    self:detour(k, op, 2, v, w)
    self:line(op, "end")
end

--- Writes what follows operator k, whose function returned (v, w).
function Text:result(k, op, v, w)
    local known = self.variant.arity[k]
    local names = { k = k, v = v, w = w }
    self:line(op, "if $v == nil then returned_nil($k, $w) end", names)
    if known == nil then
        self.incomplete = true
        self:detour_either(k, op, v, w)
    elseif known == 1 then
        self:line(op, "if $w ~= nil then mixed($k, 1, $v, $w) end", names)
        self:continue(k + 1, 1, v)
    else
        self:line(op, "if $w == nil then mixed($k, 2, $v) end", names)
        self:continue(k + 1, 2, v, w)
    end
end

--- The same where the function can only return single values; v is not nil.
function Text:single_result(k, op, v)
    local known = self.variant.arity[k]
    if known == 1 then
        return self:continue(k + 1, 1, v)
    end
    if known == 2 then
        return self:line(op, "mixed($k, 2, $v)", { k = k, v = v })
    end
    self.incomplete = true
    self:detour(k, op, 1, v)
end

--- Writes text that makes this operator's generator the one that math.random uses, if its function draws random numbers.
function Text:draws(k, op)
    if not op.place then
        return
    end
    self:uses "use"
    self:line(op, "use.slot = S.d$k", { k = k })
end

--- Operators that are joined into loops and whose function decides whether records are single values or pairs.
generate.learns = { map = true, flatMap = true, unpair = true, unwrap = true }

-- At the end of the operators a detour needs no D function: the terminal's text is short enough to be repeated.
function Text:call_or_end(k, arity, a, b)
    if k > #self.feed.ops then
        return self:continue(k, arity, a, b)
    end
    return self:call(k, arity, a, b, true)
end

local function is_list(v)
    if type(v) ~= "table" then
        return false
    end
    local mt = getmetatable(v)
    return mt == nil or mt.__call == nil
end

local function callable(v)
    if type(v) == "function" then
        return true
    end
    local mt = getmetatable(v)
    return mt ~= nil and type(mt) == "table" and mt.__call ~= nil
end

--- What flatMap and mapPartitions refuse.
function generate.not_iterable(op, it)
    failure.broken(op, ("the function returned %s; return an array or an iterator (an empty table for nothing)"):format(
        it == nil and "nil" or type(it) == "table" and "a table" or "the " .. type(it) .. " " .. failure.preview(it)))
end

function generate.not_array(op, it)
    failure.broken(op, "the function returned the table " .. failure.preview(it)
        .. ", which is not an array; return an array, or an iterator such as pairs(t)")
end

function generate.hole(op)
    failure.broken(op, "the returned array has a nil in it; use moontide.null for an explicit null")
end

generate.is_list, generate.callable = is_list, callable

local function shape_of(it)
    local mt = getmetatable(it)
    return mt == scan.Scanner and "scan" or "iterator"
end

--- Checks that generated code calls when a function breaks a rule; bound to the operators of one feed.
local function rules_of(feed)
    local broken, ops, preview = failure.broken, feed.ops, failure.preview
    return {
        returned_nil = function(k, w)
            if w ~= nil then
                broken(ops[k], "the function returned nil as the key of a pair (nil, " .. preview(w) .. ")")
            end
            broken(ops[k], "the function returned nil; return a value (moontide.null for an explicit null), or use filter or flatMap to drop records")
        end,
        third = function(k, v, w, x) surplus.third(ops[k], v, w, x) end,
        second = function(k, v, w) surplus.second(ops[k], v, w) end,
        after_array = function(k, list, more) surplus.after_array(ops[k], list, more) end,
        learn = function(k, kind, v, w) feed:learn(k, kind, v, w) end,
        mixed = function(k, expected, v, w) arities.mixed(feed.execution, ops[k], expected, v, w) end,
        hole = function(k) generate.hole(ops[k]) end,
        not_iterable = function(k, it) generate.not_iterable(ops[k], it) end,
        look_inside = function(state, k, it)
            state.empties = state.empties + 1
            if next(it) ~= nil then
                generate.not_array(ops[k], it)
            end
        end,
        needs_pairs = function(k, a)
            failure.not_pairs(ops[k], a)
        end,
        is_list = is_list,
        callable = callable,
        known = feed.known,
        now = feed.now,
    }
end

local serial = 0

--- Loads a text with its environment; the locals it names are taken from `constants`.
local function load_text(g, head, tail)
    serial = serial + 1
    local name = "=stage#" .. serial
    local names = { "type", "S" }
    for n in pairs(g.used) do names[#names + 1] = n end
    table.sort(names)
    local rules = { "third", "second", "after_array",
        "returned_nil", "mixed", "hole", "not_iterable", "look_inside", "needs_pairs", "is_list", "callable", "learn", "known", "now",
        "shape", "D1", "D2",
        "ffi_string", "decode", "shape_of", "Scanner", "scan_run", "sub", "getmetatable", "C" }
    local locals = {}
    for _, n in ipairs(rules) do locals[#locals + 1] = ("local %s = K.%s"):format(n, n) end
    for _, n in ipairs(names) do
        if n ~= "S" then
            locals[#locals + 1] = ("local %s = K.%s"):format(n, n)
        end
    end
    local prologue = g.uses_terminal and g.feed.terminal.prologue or ""
    local source = ("local K = ... %s return %s %s\n"):format(table.concat(locals, " "), head, prologue)
        .. table.concat(g.lines, "\n") .. "\n" .. tail
    local lines = {}
    for at, op in pairs(g.ops) do lines[at + 1] = op end
    local chunk, why = loadstring(source, name)
    if chunk == nil then
        error("moontide: generated code does not compile: " .. why .. "\n" .. source, 0)
    end
    failure.register(name, lines, g.feed.ops[1])
    g.feed.chunks[#g.feed.chunks + 1] = name
    return chunk(g.feed.constants)
end

-- The text that begins with operator `first`. Constants are those of the variant.
local function new_text(feed, variant, first)
    local K = feed.constants
    K.D1, K.D2 = variant.D1, variant.D2
    K.shape = function(k, what)
        variant.shape[k] = variant.shape[k] or what
        if not variant.shapeless[k] then
            return
        end
        variant.shapeless[k], variant.loop = nil, nil
        for at in pairs(variant.D1) do variant.D1[at] = nil end
        for at in pairs(variant.D2) do variant.D2[at] = nil end
    end
    return setmetatable({
        feed = feed, variant = variant, first = first, lines = {}, ops = {}, used = {}, uses_terminal = false,
        incomplete = false,
    }, Text)
end

-- How each form of input is read. {arity, head, tail}: the body handles record a0 (, b0).
local forms = {
    text = { 1, [[function(S, block, from, to) local p, lines = block.data, block.lines
for i = from, to - 1 do local a0 = ffi_string(p + lines[i].offset, lines[i].length)]], "end end" },
    packed1 = { 1, [[function(S, block, from, to) local p, at = block.data, S.position
for i = from, to - 1 do local a0 a0, at = decode(p, at)]], "end S.position = at end" },
    packed2 = { 2, [[function(S, block, from, to) local p, at = block.data, S.position
for i = from, to - 1 do local a0, b0 a0, at = decode(p, at) b0, at = decode(p, at)]], "end S.position = at end" },
    push1 = { 1, "function(S, a0)", "end" },
    push2 = { 2, "function(S, a0, b0)", "end" },
    range = { 1, [[function(S, range, from, to) local first, step = range[1], range[2]
for i = from, to - 1 do local a0 = first + i * step]], "end end" },
    array = { 1, "function(S, list, from, to) for i = from, to - 1 do local a0 = list[i]", "end end" },
    each1 = { 1, "function(S, it, st, c) for a0, b0, c0 in it, st, c do if b0 ~= nil or c0 ~= nil then S.check_record(a0, b0, c0) end", "end end" },
    each2 = { 2, "function(S, it, st, c) for a0, b0, c0 in it, st, c do if b0 == nil or c0 ~= nil then S.check_record(a0, b0, c0) end", "end end" },
}

-- Iterators say when they end: a loop that has still something to learn hands back after some turns, with where it was.
local RESUMABLE = { each1 = true, each2 = true }
local TURNS = "if S.turns == 1 then do return false, a0 end end S.turns = S.turns - 1 "

--- The form of a block's records.
function generate.form_of(block)
    if block.kind == fast.C.TIDE_BLOCK_TEXT then
        return "text"
    end
    return block.arity == 2 and "packed2" or "packed1"
end

--- Generates the loop of a variant.
---@return function loop
---@return boolean incomplete text was generated before all was known
function generate.loop(feed, variant)
    local kind, head, tail = unpack(forms[variant.form])
    local g = new_text(feed, variant, 1)
    g:line(nil, "") -- keeps line numbers of head and body apart
    g:continue(1, kind, "a0", "b0")
    if RESUMABLE[variant.form] then
        if g.incomplete then
            tail = TURNS .. tail
        end
        if feed.iterator_draws then
            tail = "use.slot = S.iterator_slot " .. tail g:uses "use"
        end
    end
    return load_text(g, head:gsub("\n", " "), tail), g.incomplete
end

--- Makes the constants of a feed: its closures, the rules, and the D tables for one form of input.
function generate.constants(feed)
    local K = rules_of(feed)
    for k, op in ipairs(feed.ops) do
        K["f" .. k] = op.fn
        if op.kind == "foreach" then
            K["has_metatable" .. k] = failure.has_metatable(op)
        end
    end
    K.type, K.ffi_string, K.decode, K.use = type, fast.ffi.string, codec.decode, randomness.use
    K.Scanner, K.scan_run, K.shape_of, K.sub, K.getmetatable, K.C = scan.Scanner, scan.run, shape_of, string.sub, getmetatable, fast.C
    feed.terminal:constants(K, feed)
    return K
end

--- The tables D1 and D2 of a variant.
function generate.detours(feed, variant)
    local detours = {}
    for kind = 1, 2 do
        detours[kind] = setmetatable({}, {
            __index = function(made, k)
                local g = new_text(feed, variant, k)
                g:line(nil, "")
                g:continue(k, kind, "a0", "b0")
                local fn = load_text(g, kind == 2 and "function(S, a0, b0)" or "function(S, a0)", "end")
                made[k] = fn
                return fn
            end,
        })
    end
    return detours[1], detours[2]
end

return generate
