--- The per-record operators: each writes itself into the text of a loop (generate.lua). `k` is the operator's number in its feed; the
--- record that it gets is in the locals named `a` and, of a pair, `b`. In the text, f<k> is its function.
local kinds = require "moontide.worker.kinds"
local terminals = require "moontide.worker.terminals"

local arguments, element = terminals.arguments, terminals.element

-- The first empty arrays of a task are checked for keys: a map is not an array. LuaJIT does not compile that check.
local CHECKED_EMPTIES = 64

--- Writes loops over what the function of flatMap or flatMapValues returned. `each(v, w, detour)` writes the body for an iterator,
--- `item(v, detour)` that for an array's element. `detour`: when this text was generated, the shape was not known, or another one.
local function loop_over(g, k, op, call, each, item)
    local shape = g.variant.shape[k]
    local v, w = "v" .. k, "w" .. k
    local function line(template) g:line(op, template, { k = k, call = call, checked = CHECKED_EMPTIES }) end
    local function array_loop(detour)
        line "if st$k ~= nil then after_array($k, it$k, st$k) end"
        line "local n$k = #it$k if n$k == 0 and S.empties < $checked then look_inside(S, $k, it$k) end"
        line "for j$k = 1, n$k do local v$k = it$k[j$k]"
        g:block(function() item(v, detour) end)
        line "end"
    end
    local function iterator_loop(detour)
        line "for v$k, w$k, x$k in it$k, st$k, c$k do if x$k ~= nil then third($k, v$k, w$k, x$k) end"
        g:block(function() each(v, w, detour) end)
        g:draws(k, op)
        line "end"
    end
    line "local it$k, st$k, c$k = $call"
    if shape == "scan" then
        -- string.gmatch of a simple pattern: scanned right here.
        line("if getmetatable(it$k) == Scanner then local text$k, class$k, at$k = it$k.text, it$k.class, it$k.at "
            .. "it$k.at = #text$k")
        line "while C.tide_scan_run(class$k, text$k, #text$k, at$k, scan_run) ~= 0 do at$k = scan_run.stop"
        line "local v$k = sub(text$k, scan_run.start + 1, at$k)"
        g:block(function() item(v, false) end)
        line "end else"
    elseif shape == "iterator" then
        line 'if type(it$k) == "function" then'
        iterator_loop(false)
        line "else"
    elseif shape == "array" then
        line "if is_list(it$k) then"
        array_loop(false)
        line "else"
    else
        g.incomplete, g.variant.shapeless[k] = true, true
        line "do"
    end
    line "if is_list(it$k) then shape($k, 'array')"
    array_loop(true)
    line "else if not callable(it$k) then not_iterable($k, it$k) end shape($k, shape_of(it$k))"
    iterator_loop(true)
    line "end end"
end

-- The text uses the operator's function, which may draw random numbers.
local function use_function(g, k, op)
    g:uses("f" .. k)
    g:draws(k, op)
end

-- Wraps what writes an operator on pairs: single values are refused.
local function on_pairs(write)
    return function(g, k, op, arity, a, b)
        if arity == 2 then
            return write(g, k, op, a, b)
        end
        g:line(op, "needs_pairs($k, $a)", { k = k, a = a })
    end
end

local operators = {}

function operators.map(g, k, op, arity, a, b)
    use_function(g, k, op)
    local v, w, x = g:pair_of(op, k)
    g:line(op, "$v, $w, $x = f$k($record) if $x ~= nil then third($k, $v, $w, $x) end",
        { k = k, v = v, w = w, x = x, record = arguments(arity, a, b) })
    -- messages tell what it made: that stays as it is, too
    if op.source then
        g.own = nil
    end
    g:result(k, op, v, w)
end

function operators.filter(g, k, op, arity, a, b)
    use_function(g, k, op)
    g:line(op, "if f$k($record) then", { k = k, record = arguments(arity, a, b) })
    g:continue(k + 1, arity, a, b)
    g:line(op, "end")
end

function operators.flatMap(g, k, op, arity, a, b)
    use_function(g, k, op)
    loop_over(g, k, op, ("f%d(%s)"):format(k, arguments(arity, a, b)), function(v, w, detour)
        if detour then
            g:detour_either(k, op, v, w)
        else
            g:result(k, op, v, w)
        end
    end, function(v, detour)
        g:line(op, "if $v == nil then hole($k) end", { k = k, v = v })
        if detour then
            g:detour(k, op, 1, v)
        else
            g:single_result(k, op, v)
        end
    end)
end

operators.mapValues = on_pairs(function(g, k, op, a, b)
    use_function(g, k, op)
    local _, w, x = g:pair_of(op, k)
    local names = { k = k, b = b, w = w, x = x }
    g:line(op, "$w, $x = f$k($b) if $w == nil then returned_nil($k) end", names)
    g:line(op, "if $x ~= nil then second($k, $w, $x) end", names)
    g:continue(k + 1, 2, a, w)
end)

operators.flatMapValues = on_pairs(function(g, k, op, a, b)
    use_function(g, k, op)
    local function item(v, detour)
        g:line(op, "if $v == nil then hole($k) end", { k = k, v = v })
        if detour then
            g:call_or_end(k + 1, 2, a, v)
        else
            g:continue(k + 1, 2, a, v)
        end
    end
    loop_over(g, k, op, ("f%d(%s)"):format(k, b), function(v, w, detour)
        g:line(op, "if $w ~= nil then second($k, $v, $w) end", { k = k, v = v, w = w })
        item(v, detour)
    end, item)
end)

function operators.keyBy(g, k, op, arity, a, b)
    use_function(g, k, op)
    local v, w, x = g:pair_of(op, k)
    local record = element(arity, a, b)
    local names = { k = k, v = v, w = w, x = x, record = record, arguments = arguments(arity, a, b) }
    -- The record may be in v and w: it is put aside before the function's results go there.
    if arity == 2 or a == v then
        g:line(op, "local e$k = $record", names)
        record = "e" .. k
    end
    g:line(op, "$v, $x = f$k($arguments)", names)
    g:line(op, "if $v == nil then returned_nil($k) end if $x ~= nil then second($k, $v, $x) end", names)
    g:line(op, "$w = $record", { w = w, record = record })
    g:continue(k + 1, 2, v, w)
end

operators.keys = on_pairs(function(g, k, _, a) g:continue(k + 1, 1, a) end)
operators.values = on_pairs(function(g, k, _, _, b) g:continue(k + 1, 1, b) end)

-- The record as a key with the value `value`.
local function as_key(g, k, op, arity, a, b, value)
    local v = g:pair_of(op, k)
    g:line(op, "$v = $record", { v = v, record = element(arity, a, b) })
    g:continue(k + 1, 2, v, value)
end

function operators.one(g, k, op, arity, a, b) as_key(g, k, op, arity, a, b, "1") end

function operators.pairUp(g, k, op, arity, a, b) as_key(g, k, op, arity, a, b, tostring(arity)) end

-- pairUp's records: (record, arity).
operators.unpair = on_pairs(function(g, k, op, a, b)
    local v, w = g:pair_of(op, k)
    g:line(op, "if $b == 2 then $v, $w = $a[1], $a[2] else $v, $w = $a, nil end", { a = a, b = b, v = v, w = w })
    g:result(k, op, v, w)
end)

-- sortBy's records: (key, {x}) or (key, {k, v}).
operators.unwrap = on_pairs(function(g, k, op, _, b)
    local v, w = g:pair_of(op, k)
    g:line(op, "$v, $w = $b[1], $b[2]", { b = b, v = v, w = w })
    g:result(k, op, v, w)
end)

function operators.foreach(g, k, op, arity, a, b)
    g:uses("f" .. k, "has_metatable" .. k)
    g:no_metatable(op, a, k)
    if arity == 2 then
        g:no_metatable(op, b, k)
    end
    g:line(op, "f$k($record)", { k = k, record = arguments(arity, a, b) })
end

for kind, write in pairs(operators) do kinds.register("record", kind, write) end
