--- Files as workers read them for sc:wholeTextFiles, sc:binaryRecords and file streams.

local raw_files = {}

local CHUNK_RECORDS = 1024

local function fail(what, path, why)
    error(("%s: %s can't be read: %s"):format(what, path, (tostring(why):gsub("^" .. path:gsub("%p", "%%%0") .. ": ", ""))), 0)
end

local function open(what, path)
    local file, why = io.open(path, "rb")
    if file == nil then
        fail(what, path, why)
    end
    return file
end

--- A whole file as the pair (path, content); .gz and .lz4 are unpacked.
---@param input { [1]: string, [2]: integer, [3]: integer, [4]: string } path, size when it was listed, number of an input that can be
---   read once or 0, the method that was called
---@return string path
---@return string content
function raw_files.whole(input)
    return input[1], require("moontide.worker.byte_source").read_all(input[4], input[1], input[2], input[3])
end

--- An iterator over `count` records of `length` bytes from `offset` on.
---@param split { [1]: string, [2]: integer, [3]: integer, [4]: integer, [5]: integer, [6]: string } path, offset, count, length, size
---   of the file when it was listed, the method that was called
---@return fun(): string?
function raw_files.records(split)
    local path, offset, left, length, method = split[1], split[2], split[3], split[4], split[6]
    local shrank = require("moontide.worker.byte_source").shrank(path, split[5])
    if shrank then
        error(method .. ": " .. shrank, 0)
    end
    local file = open(method, path)
    local placed, why = file:seek("set", offset)
    if placed == nil then
        file:close()
        fail(method, path, why)
    end
    local chunk, at = "", 1
    return function()
        if at > #chunk then
            if left == 0 then
                file:close()
                return nil
            end
            local wanted = math.min(left, CHUNK_RECORDS) * length
            local read, reason = file:read(wanted)
            if read == nil or #read < wanted then
                file:close()
                fail(method, path, reason or "it has become shorter since it was listed")
            end
            chunk, at = read, 1
            left = left - wanted / length
        end
        at = at + length
        local record = chunk:sub(at - length, at - 1)
        return record -- no tail call, see wire/unpack.lua
    end
end

return raw_files
