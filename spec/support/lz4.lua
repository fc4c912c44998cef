-- LZ4 frames for tests, made by liblz4 itself.
--
--     local lz4 = require "spec.support.lz4"
--     dir:write("log.lz4", lz4.frame("a line\n"))

local ffi = require "ffi"

ffi.cdef [[
    struct spec_lz4_preferences {
        int block_size, block_mode, content_checksum, frame_type;
        unsigned long long content_size;
        unsigned dictionary;
        int block_checksum;
        int level;
        unsigned flush, fast, reserved[3];
    };
    size_t LZ4F_compressFrameBound(size_t size, const struct spec_lz4_preferences *preferences);
    size_t LZ4F_compressFrame(void *into, size_t room, const void *from, size_t size, const struct spec_lz4_preferences *preferences);
]]

local library = ffi.load "liblz4.so.1"
local lz4 = {}

--- One frame with a checksum of its content.
---@param text string
---@return string
function lz4.frame(text)
    local preferences = ffi.new("struct spec_lz4_preferences", { content_checksum = 1 })
    local room = library.LZ4F_compressFrameBound(#text, preferences)
    local packed = ffi.new("uint8_t[?]", room)
    return ffi.string(packed, library.LZ4F_compressFrame(packed, room, text, #text, preferences))
end

return lz4
