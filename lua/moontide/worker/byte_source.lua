--- Whole input files as workers read them, unpacked when they are gzip or LZ4 (host/format/byte_source.h).
local fast = require "moontide.wire.ffi"
local current = require "moontide.worker.current"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local byte_source = {}

local PIECE = 256 * 1024

local look = ffi.new "struct tide_input_file"

--- Why a file is not to be read any more: it became shorter since it was listed.
---@param path string
---@param listed integer? its size then
---@return string? reason nil when it can be read, or can't be looked at
function byte_source.shrank(path, listed)
    local err = ffi.new "struct tide_error"
    local found = C.tide_input_file_look(path, look, err) == 0
    if found and look.size < (listed or 0) then
        C.tide_input_file_shrank(path, look.size, listed, err)
    end
    local reason = found and err.text ~= nil and ffi.string(err.text) or nil
    C.tide_error_clear(err)
    return reason
end

--- The content of a file. Raises what goes wrong, with the operator's name in front.
---@param what string operator, for messages
---@param path string
---@param listed integer its size when it was listed
---@param once integer number of an input that can be read once, or 0
---@return string
function byte_source.read_all(what, path, listed, once)
    local err = ffi.new "struct tide_error"
    local function fail()
        if err.code == failure.ENOMEM then
            failure.from_c(nil, err, "out of memory")
        end
        error(what .. ": " .. failure.take(err, "the file cannot be read"), 0)
    end
    local source = C.tide_byte_source_new(path, ffi.new("struct tide_byte_source_plan", listed, once, current.cancelled), err)
    if source == nil then
        fail()
    end
    source = ffi.gc(source, C.tide_byte_source_delete)
    local piece, pieces = ffi.new("uint8_t[?]", PIECE), {}
    while true do
        local got = tonumber(C.tide_byte_source_read(source, piece, PIECE, err))
        if got < 0 then
            fail()
        end
        if got == 0 then
            break
        end
        pieces[#pieces + 1] = ffi.string(piece, got)
    end
    C.tide_byte_source_delete(ffi.gc(source, nil))
    return table.concat(pieces)
end

return byte_source
