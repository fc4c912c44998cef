--- A value as a short text for messages: strings quoted and cut, of tables the first elements.
---
---     preview("word", 3)              --> ("word", 3)
---     preview({ code = 7 })           --> {code = 7}
---
--- Used on the driver and by workers: it depends on nothing but moontide.base.values and number_text.
local number_text = require "moontide.base.number_text"
local values = require "moontide.base.values"

local PREVIEW = 120 -- bytes of a string in a preview
local LONGEST = 400 -- bytes of a whole preview
local ELEMENTS = 8 -- of a table in a preview
local RAISED = 8192 -- bytes of a raised text

-- Bytes that are not UTF-8 as \ddd, so that a message can be shown anywhere.
local function printable(text)
    text = text:gsub('[%c"\\\127]', function(c)
        return ({ ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" })[c] or ("\\%03d"):format(c:byte())
    end)
    return (text:gsub("[\128-\255]+", function(run)
        local parts, at = {}, 1
        while at <= #run do
            local b = run:byte(at)
            local more = b >= 0xf5 and 0 or b >= 0xf0 and 3 or b >= 0xe0 and 2 or b >= 0xc2 and 1 or 0
            if more > 0 and run:find("^" .. ("[\128-\191]"):rep(more), at + 1) then
                parts[#parts + 1] = run:sub(at, at + more)
                at = at + more + 1
            else
                parts[#parts + 1] = ("\\%03d"):format(b)
                at = at + 1
            end
        end
        return table.concat(parts)
    end))
end

-- The first bytes of a text, without half a character at the end.
local function cut(text, size)
    if #text <= size then
        return text
    end
    for _ = 1, 3 do
        if text:byte(size + 1) >= 128 and text:byte(size + 1) < 192 then
            size = size - 1
        end
    end
    return text:sub(1, size) .. "…"
end

local function quote(value, depth)
    local t = type(value)
    if t == "string" then
        return '"' .. printable(cut(value, PREVIEW)) .. '"'
    end
    if t == "number" then
        return number_text(value)
    end
    if value == values.null then
        return "null"
    end
    if t ~= "table" then
        return tostring(value)
    end
    if depth >= 3 then
        return "{…}"
    end
    local parts, n, length = {}, 0, #value
    for k, v in next, value do
        n = n + 1
        if n > ELEMENTS then
            parts[n] = "…"
            break
        end
        if type(k) == "number" and k >= 1 and k <= length then
            parts[n] = quote(v, depth + 1)
        elseif type(k) == "string" and k:find("^[%a_][%w_]*$") then
            parts[n] = k .. " = " .. quote(v, depth + 1)
        else
            parts[n] = "[" .. quote(k, depth + 1) .. "] = " .. quote(v, depth + 1)
        end
    end
    return "{" .. table.concat(parts, ", ") .. "}"
end

local preview = {}

--- A raised value as text, with NULs shown, and cut when it is too long to read.
---@param value any what error() was given
---@return string
function preview.raised(value)
    local text
    if value == nil then
        return "(no message)"
    elseif type(value) == "string" then
        text = value
    elseif type(value) == "number" then
        return number_text(value)
    else
        local metatable = getmetatable(value)
        if type(metatable) == "table" and metatable.__tostring then
            local ok, made = pcall(tostring, value)
            text = ok and type(made) == "string" and made or nil
        end
        text = text or "(error object) " .. preview(value)
    end
    local size = #text
    if size > RAISED then
        text = ("%s (%.0f bytes in all)"):format(cut(text, RAISED), size)
    end
    return (text:gsub("%z", "\\0"))
end

--- A short preview of a record: one value, or the two of a pair. Called as preview(a, b).
---@param a any
---@param b any
---@return string
local function of_record(a, b)
    return cut(b ~= nil and "(" .. quote(a, 0) .. ", " .. quote(b, 0) .. ")" or quote(a, 0), LONGEST)
end

return setmetatable(preview, { __call = function(_, a, b) return of_record(a, b) end })
