--- Turns whatever goes wrong while records are processed into one complete message for people: what failed, at which
--- line of the script, in which operator, on which record. The record costs nothing until something fails: it is found by
--- looking into the frames of the generated code (lua/moontide/worker/generate.lua).
local fast = require "moontide.worker.ffi"
local codec = require "moontide.worker.codec"

local failure = {}

local PREVIEW = 120

--- An error whose text is complete, so outer handlers leave it alone.
local Complete = { __tostring = function(e) return e.text end }

--- Raised by generated code when a function of the script breaks a rule (returns nil where a value must be …).
local Broken = { __tostring = function(e) return e.text end }

--- Raises that operator `op` broke a rule.
function failure.broken(op, text) error(setmetatable({ op = op, text = text }, Broken), 0) end

local chunks = {} -- chunk name → { lines = {line → op} }

--- Tells which operator each line of a generated chunk belongs to.
function failure.register(name, lines) chunks[name] = lines end
function failure.forget(name) chunks[name] = nil end

local function quote(value, depth)
    local t = type(value)
    if t == "string" then
        local text = value
        if #text > PREVIEW then text = text:sub(1, PREVIEW) .. "…" end
        text = text:gsub('[%c"\\\127-\255]', function(c)
            local byte = c:byte()
            if byte >= 128 then return c end
            return ({ ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" })[c] or ("\\%d"):format(byte)
        end)
        return '"' .. text .. '"'
    end
    if t == "table" and depth < 3 then
        local parts, n = {}, 0
        for k, v in next, value do
            n = n + 1
            if n > 8 then
                parts[#parts + 1] = "…"
                break
            end
            if type(k) == "number" then
                parts[#parts + 1] = quote(v, depth + 1)
            else
                parts[#parts + 1] = tostring(k) .. " = " .. quote(v, depth + 1)
            end
        end
        return "{" .. table.concat(parts, ", ") .. "}"
    end
    return tostring(value)
end

--- A short preview of a record.
function failure.preview(a, b)
    if b ~= nil then return "(" .. quote(a, 0) .. ", " .. quote(b, 0) .. ")" end
    return quote(a, 0)
end

-- The index-th record of a block, read again for the message.
local function record_of(block, index)
    local p, at = block.data, 0
    if index < 0 or index >= block.count then return nil end
    if block.kind == fast.TEXT then
        local line = block.lines[index]
        return fast.ffi.string(p + line.offset, line.length)
    end
    local a, b
    for _ = 0, index do
        a, at = codec.decode(p, at)
        if block.arity == 2 then b, at = codec.decode(p, at) end
    end
    return a, b
end

local function local_value(level, wanted)
    for at = 1, 250 do
        local name, value = debug.getlocal(level + 1, at)
        if name == nil then return nil end
        if name == wanted then return value end
    end
end

-- Looks for the generated frames below the failing one: the innermost tells the operator, one with a block the record.
local function locate(level)
    local op, preview
    for at = level + 1, level + 600 do
        local info = debug.getinfo(at, "Sl")
        if info == nil then break end
        local lines = chunks[info.source]
        if lines then
            op = op or lines[info.currentline]
            local block = local_value(at, "block")
            if block ~= nil then
                local ok, a, b = pcall(record_of, block, local_value(at, "i") or -1)
                if ok and a ~= nil then preview = failure.preview(a, b) end
                break
            end
            local a = local_value(at, "a0")
            if a ~= nil then preview = preview or failure.preview(a, local_value(at, "b0")) end
        end
    end
    return op, preview
end

-- Frames of the script only: the machinery around them is ours.
local function script_traceback(level)
    local lines = {}
    for line in debug.traceback("", level + 1):gmatch("[^\n]+") do
        local ours = line:find("stage#", 1, true) or line:find("moontide/", 1, true) or line:find("^stack traceback")
            or line:find("in function 'xpcall'", 1, true) or line:find("in function 'error'", 1, true)
            or line:find("^%s*%[C%]: at 0x")
        if not ours then lines[#lines + 1] = "    " .. line:gsub("^%s+", "") end
    end
    return lines
end

local function text_of(err)
    if type(err) == "string" then return err end
    local mt = getmetatable(err)
    if mt and mt.__tostring then return tostring(err) end
    return "(error object) " .. quote(err, 0)
end

--- Makes a message handler for xpcall around a task's work.
---@param context { batch_time: integer, partition: integer }
function failure.handler(context)
    return function(err)
        if getmetatable(err) == Complete then return err end
        local op, preview = locate(2)
        local parts
        if getmetatable(err) == Broken then
            op = err.op or op
            parts = { (op.site and op.site .. ": " or "") .. (op.name or op.kind) .. ": " .. err.text }
        else
            parts = { text_of(err) }
        end
        local where = ("partition %d"):format(context.partition)
        if context.batch_time >= 0 then where = ("batch %d ms, "):format(context.batch_time) .. where end
        if op then
            where = (op.name or op.kind) .. (op.site and " (" .. op.site .. "), " or ", ") .. where
        end
        parts[#parts + 1] = "  in " .. where
        if preview then parts[#parts + 1] = "  record: " .. preview end
        if getmetatable(err) ~= Broken then
            local lines = script_traceback(2)
            if #lines > 1 then
                parts[#parts + 1] = "  traceback:"
                for at = 1, math.min(#lines, 20) do parts[#parts + 1] = lines[at] end
            end
        end
        return setmetatable({ text = table.concat(parts, "\n") }, Complete)
    end
end

return failure
