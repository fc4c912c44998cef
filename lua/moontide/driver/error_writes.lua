--- Makes io.write and file:write of the script take error values (base/errors.lua): they write the message.

local errors = require "moontide.base.errors"
local library = require "moontide.closure.library"

-- Files write strings and numbers only, and `io.stderr:write(err)` is what scripts do with an error.
local function as_texts(...)
    for index = 1, select("#", ...) do
        if errors.is((select(index, ...))) then
            local list, count = { ... }, select("#", ...)
            for at = 1, count do
                list[at] = errors.is(list[at]) and tostring(list[at]) or list[at]
            end
            return unpack(list, 1, count)
        end
    end
    return ...
end

local function accept_errors(holder)
    local write = holder.write
    local function writes(...)
        return write(as_texts(...))
    end
    holder.write = writes
    library.stands_for(writes, write)
end

accept_errors(io)
accept_errors(getmetatable(io.stdout).__index)
