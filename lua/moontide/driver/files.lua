--- Files and directories of the driver: finding input files, cutting them in ranges, making and removing directories.
---
--- Operational failures come as nil, message.

local declare = require "moontide.base.declare"
local fast = require "moontide.wire.ffi"

local ffi, library = fast.ffi, fast.C

local files = {}

declare.cdef [[
    struct moontide_glob {
        size_t count;
        char **paths;
        size_t reserved;
        int flags;
        void *functions[5];
    };
    int glob(const char *pattern, int flags, void *on_error, struct moontide_glob *result);
    void globfree(struct moontide_glob *result);
]]

local C = ffi.C
local GLOB_MARK, GLOB_PERIOD = 0x02, 0x80
local GLOB_NOMATCH = 3
local MAX_SPLIT = 32 * 1024 * 1024
local SLACK = 1.1 -- a last range may be this much longer than the others instead of leaving a tiny one

-- Paths that match a pattern, in order; directories end in "/".
local function glob(pattern, flags)
    local result = ffi.new("struct moontide_glob")
    local code = C.glob(pattern, GLOB_MARK + (flags or 0), nil, result)
    local paths = {}
    for index = 0, tonumber(result.count) - 1 do
        paths[index + 1] = ffi.string(result.paths[index])
    end
    C.globfree(result)
    if code ~= 0 and code ~= GLOB_NOMATCH then
        return nil, "cannot list " .. pattern
    end
    return paths
end

local function literal(path)
    return (path:gsub("[%*%?%[%]\\{}]", "\\%0"))
end

local function base_name(path)
    return path:match("([^/]+)/?$") or path
end

--- Whether something of that name is there.
---@param path string
---@return boolean
function files.exists(path)
    return #(glob(literal(path)) or {}) > 0
end

--- Whether it is a directory.
---@param path string
---@return boolean
function files.is_directory(path)
    local found = glob(literal((path:gsub("(.)/+$", "%1"))))
    return found ~= nil and found[1] ~= nil and found[1]:sub(-1) == "/"
end

--- Names in a directory, hidden ones included, "." and ".." not.
---@param path string
---@return string[]
function files.list(path)
    local names = {}
    for _, found in ipairs(glob(literal((path:gsub("/+$", ""))) .. "/*", GLOB_PERIOD) or {}) do
        local name = base_name(found)
        if name ~= "." and name ~= ".." then
            names[#names + 1] = name
        end
    end
    return names
end

-- Names ----------------------------------------------------------------------------------------------------------------

--- The path that a text means: file:///data/x is /data/x. Other URLs are refused.
---
---     files.local_path("file:///tmp/x")  --> "/tmp/x"
---     files.local_path("tmp/x")          --> "tmp/x"
---
---@param text string
---@return string? path
---@return string? reason
function files.local_path(text)
    local rest = text:match("^file:(/.*)$")
    if rest then
        local host, path = rest:match("^//([^/]*)(/.*)$")
        if not rest:match("^//") then
            return rest
        elseif host == "" or host == "localhost" then
            return (path:gsub("^//+", "/"))
        end
        return nil, ("%s names a file of another machine; files of this one are used: write file:///path, or the "
            .. "path alone"):format(text)
    end
    local scheme = text:match("^(%a[%w+.-]*)://")
    if scheme then
        return nil, ("%s is a URL; files of this machine are used, not %s: copy it, and write its path"):format(text, scheme)
    end
    return text
end

--- The rule for names that are left out where files are looked for: those that begin with "_" or ".", such as _SUCCESS, _temporary
--- and Hadoop's checksums. A path that is written out is taken as it is, and so is a part of a pattern that begins with the same
--- character.
---@param name string
---@param pattern? string the part of the pattern that it matches
---@return boolean
local function is_hidden(name, pattern)
    local first = name:match("^[%._]")
    return first ~= nil and (pattern == nil or pattern:gsub("^\\", ""):sub(1, 1) ~= first)
end

-- "{a,b}c" → "ac", "bc"; also nested. What has no comma or no end is left as it is.
local function alternatives(pattern, list)
    local from = pattern:find("{", 1, true)
    while from and pattern:sub(from - 1, from - 1) == "\\" do
        from = pattern:find("{", from + 1, true)
    end
    local depth, start, parts = 0, from and from + 1, {}
    for at = from or #pattern + 1, #pattern do
        local c = pattern:sub(at, at)
        if c == "{" then
            depth = depth + 1
        elseif c == "}" then
            depth = depth - 1
        end
        if c == "," and depth == 1 or c == "}" and depth == 0 then
            parts[#parts + 1] = pattern:sub(start, at - 1)
            start = at + 1
        end
        if depth == 0 then
            for _, part in ipairs(parts) do
                alternatives(pattern:sub(1, from - 1) .. part .. pattern:sub(at + 1), list)
            end
            return list
        end
    end
    list[#list + 1] = pattern
    return list
end

local function components(path)
    local list = {}
    for part in path:gmatch("[^/]+") do
        list[#list + 1] = part
    end
    return list
end

-- Whether a part of the path that a wildcard stands for is hidden.
local function matched_hidden(path, parts)
    for index, name in ipairs(components(path)) do
        local part = parts[index]
        if part and part:find("[%*%?%[]") and is_hidden(name, part) then
            return true
        end
    end
    return false
end

-- The paths that a pattern means, without those that are hidden.
local function matches_of(pattern)
    local found, seen = {}, {}
    for _, one in ipairs(alternatives(pattern, {})) do
        local paths, reason = glob(one)
        if not paths then
            return nil, reason
        end
        local parts = components(one)
        for _, path in ipairs(paths) do
            if not seen[path] and not matched_hidden(path, parts) then
                seen[path] = true
                found[#found + 1] = path
            end
        end
    end
    if #found == 0 then
        return nil, ('no file matches the pattern %s (names that begin with "_" or "." are left out)'):format(pattern)
    end
    return found
end

-- Inputs ---------------------------------------------------------------------------------------------------------------

-- Endings of files that would be read as garbage, and what to do with them.
local PACKED = {
    bz2 = "bunzip2", xz = "unxz", lzma = "unlzma", zst = "unzstd", lzo = "lzop -d", br = "brotli -d", Z = "uncompress",
    snappy = "snzip -d", deflate = "zlib-flate -uncompress", zip = "unzip", ["7z"] = "7z x", rar = "unrar x", tgz = "tar -xzf",
    tbz2 = "tar -xjf", txz = "tar -xJf", ["tar.gz"] = "tar -xzf",
}

-- Endings of files that are unpacked where they are read.
local UNPACKED = { gz = "gunzip", lz4 = "unlz4" }

local by_lower = {}
for ending, command in pairs(PACKED) do
    by_lower[ending:lower()] = command
end

local function refuse_packed(path, plain)
    local name = base_name(path):lower()
    local ending = name:match("%.(tar%.gz)$") or name:match("%.([^%.]+)$")
    local command = ending and by_lower[ending]
    if command then
        return ("%s: files ending in .%s are not read here; unpack it first (%s), and if need be pack it with gzip "
            .. "or lz4: textFile and wholeTextFiles read .gz and .lz4"):format(path, ending, command)
    elseif plain and UNPACKED[ending] then
        return ("%s: %s does not read .%s; unpack it first (%s)"):format(path, plain, ending, UNPACKED[ending])
    end
end

--- Whether a file is unpacked where it is read, as its name says: it can't be cut in ranges.
---@param path string
---@return boolean
function files.is_packed(path)
    local ending = path:lower():match(".%.(%w+)$")
    return ending ~= nil and UNPACKED[ending] ~= nil
end

local look = ffi.new "struct tide_input_file"
local err = ffi.new "struct tide_error"
local DIRECTORY, ONCE = library.TIDE_INPUT_FILE_DIRECTORY, library.TIDE_INPUT_FILE_ONCE
local UNSIZED, SOCKET = library.TIDE_INPUT_FILE_UNSIZED, library.TIDE_INPUT_FILE_SOCKET
local NOT_FOUND = library.TIDE_ENOTFOUND
local STDIN = "/dev/stdin"

-- What is there: its kind and its size.
local function look_at(path)
    local code = library.tide_input_file_look(path, look, err)
    if code ~= 0 then
        local reason = ffi.string(err.text)
        library.tide_error_clear(err)
        return nil, "cannot read " .. reason, code
    end
    return look.kind, tonumber(look.size)
end

local stdin_once

-- The number of an input that can be read once: standard input is one, for all datasets.
local function once_of(path)
    if path ~= STDIN then
        return library.tide_byte_source_once()
    end
    stdin_once = stdin_once or library.tide_byte_source_once()
    return stdin_once
end

local function add_file(found, path, plain)
    local kind, size = look_at(path)
    if not kind then
        return nil, size
    end
    local reason = refuse_packed(path, plain)
    if kind == SOCKET then
        reason = path .. " is a socket; read it with a stream (socketTextStream)"
    elseif kind == UNSIZED then
        reason = ("cannot read %s in parts: the system does not tell its size; read a copy of it"):format(path)
    elseif kind == ONCE and plain then
        reason = ("%s can be read only once (a pipe or a terminal), and %s needs a file: write it to one first"):format(path,
            plain)
    end
    if reason then
        return nil, reason
    end
    found[#found + 1] = { path = path, size = size, listed = size, once = kind == ONCE and once_of(path) or nil,
        whole = kind == ONCE or files.is_packed(path) }
    return true
end

local function add_directory(found, path, plain)
    local outer = path:gsub("(.)/+$", "%1")
    for _, name in ipairs(files.list(path)) do
        if not is_hidden(name) then
            local inside = outer:gsub("/+$", "") .. "/" .. name
            if files.is_directory(inside) then
                return nil, ("%s is a directory: to read files below %s, give a pattern such as '%s/*/*'"):format(
                    inside, outer, outer)
            end
            local added, reason = add_file(found, inside, plain)
            if not added then
                return nil, reason
            end
        end
    end
    return true
end

--- The input of a file that was found already, with its size then.
---@param path string
---@param size number bytes
---@param plain? string the operator, when it does not read .gz and .lz4
---@return moontide.Input?
---@return string? reason
function files.found(path, size, plain)
    local reason = refuse_packed(path, plain)
    if reason then
        return nil, reason
    end
    return { path = path, size = size, listed = size, whole = files.is_packed(path) }
end

--- The directories that a path means, for looking through them later: itself, or patterns without braces. None of them need be there.
---@param path string or a file: URL
---@return string[]? patterns
---@return string? reason
function files.directories(path)
    local reason
    path, reason = files.local_path(path)
    if not path then
        return nil, reason
    elseif path:find("\0", 1, true) then
        return nil, "a path has no byte 0"
    end
    local kind = look_at(path)
    if kind and kind ~= DIRECTORY then
        return nil, ("%s is a file; the directory in which files will appear is expected (textFile reads a file)"):format(path)
    end
    return kind and { path } or alternatives(path, {})
end

---@class moontide.Input
---@field path string
---@field size number
---@field listed number? the same, when the file was looked at: it must not become shorter
---@field once integer? it can be read only once: its number (host/format/byte_source.h)
---@field whole boolean it cannot be cut in ranges

--- The input files that `path` means: a file, the files of a directory (names starting with "." or "_" are left out),
--- or a pattern with * ? [] {}; of what a pattern matches the same names are left out.
---@param path string or a file: URL
---@param plain? string the operator, when it reads neither .gz and .lz4 nor what can be read only once
---@return moontide.Input[]?
---@return string? reason
function files.inputs(path, plain)
    local reason, code, kind
    path, reason = files.local_path(path)
    if not path then
        return nil, reason
    end
    local matches
    kind, reason, code = look_at(path)
    if kind then
        matches = { kind == DIRECTORY and path:gsub("/+$", "") .. "/" or path }
    elseif code ~= NOT_FOUND then
        return nil, reason
    elseif path:find("[%*%?%[{]") then
        matches, reason = matches_of(path)
        if not matches then
            return nil, reason
        end
    else
        return nil, ("there is no file or directory %s"):format(path)
    end
    local found = {}
    for _, match in ipairs(matches) do
        local add = match:sub(-1) == "/" and add_directory or add_file
        local added, why = add(found, match, plain)
        if not added then
            return nil, why
        end
    end
    return found
end

--- Cuts files in byte ranges of about equal length, at least `partitions` of them where the size allows. Empty files
--- give none. Lines belong to the range in which they begin. What cannot be cut is one range.
---@param inputs moontide.Input[]
---@param partitions integer
---@return table[] path, offset, length, size of the file, number of an input that can be read once
function files.splits(inputs, partitions)
    local total = 0
    for _, input in ipairs(inputs) do
        total = total + input.size
    end
    local goal = math.max(1, math.floor(total / math.max(1, partitions)))
    local length = math.min(goal, MAX_SPLIT)
    local splits = {}
    for _, input in ipairs(inputs) do
        local offset = 0
        while not input.whole and (input.size - offset) / length > SLACK do
            splits[#splits + 1] = { input.path, offset, length, input.listed }
            offset = offset + length
        end
        if offset < input.size or input.whole then
            splits[#splits + 1] = { input.path, offset, input.size - offset, input.listed, input.once }
        end
    end
    return splits
end

--- Makes a directory and those above it.
---@param path string
---@param durable? boolean their entries outlive a power cut
---@return true? made
---@return string? reason
function files.make_directory(path, durable)
    local made = ffi.new "uint32_t[1]"
    if library.tide_directory_make(path, false, made, err) ~= 0
        or durable and library.tide_directory_sync_made(path, made[0], err) ~= 0 then
        local reason = ffi.string(err.text)
        library.tide_error_clear(err)
        return nil, reason
    end
    return true
end

--- Whether files can be made in a directory. Nothing stays there.
---@param path string
---@return true? usable
---@return string? reason
function files.probe(path)
    if library.tide_directory_probe(path, err) ~= 0 then
        local reason = ffi.string(err.text)
        library.tide_error_clear(err)
        return nil, reason
    end
    return true
end

--- Removes a directory with all that is in it, or a file. Links are removed, and not followed.
---@param path string
---@return boolean gone
function files.remove(path)
    return library.tide_directory_remove(path)
end

return files
