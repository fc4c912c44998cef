--- Keys that pass no shuffle, because a function promises to leave records in the partition of their key.
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"
local memory = require "moontide.base.memory"

local keys = {}

local function plain_key(op, key, value)
    local t = type(key)
    if t == "string" then
        return key
    end
    if t == "number" and key == key then
        return key + 0
    end
    local ok, packed = pcall(codec.pack_key, key)
    if not ok then
        memory.rethrow(packed)
        failure.broken(op, packed .. "\n  record: " .. failure.preview(key, value))
    end
    return (codec.unpack(packed))
end

--- The iterator's pairs, with the keys in the form in which a shuffle would have brought them. Raises for what can't be a key.
function keys.plain(op, it, state, control)
    return function()
        local a, b, c = it(state, control)
        control = a
        if b ~= nil then
            a = plain_key(op, a, b)
        end
        return a, b, c
    end
end

return keys
