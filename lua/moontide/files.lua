-- Files and directories of the driver: finding input files, cutting them in ranges, and committing output directories.
--
-- Operational failures come as nil, message.

local ffi = require "ffi"

local files = {}

ffi.cdef [[
    struct moontide_glob {
        size_t count;
        char **paths;
        size_t reserved;
        int flags;
        void *functions[5];
    };
    int glob(const char *pattern, int flags, void *on_error, struct moontide_glob *result);
    void globfree(struct moontide_glob *result);
    int mkdir(const char *path, unsigned int mode);
    char *strerror(int number);
]]

local C = ffi.C
local GLOB_MARK, GLOB_BRACE, GLOB_PERIOD = 0x02, 0x400, 0x80
local GLOB_NOMATCH = 3
local EEXIST = 17
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
--- @param path string
--- @return boolean
function files.exists(path)
    return #(glob(literal(path)) or {}) > 0
end

--- Whether it is a directory.
--- @param path string
--- @return boolean
function files.is_directory(path)
    local found = glob(literal((path:gsub("(.)/+$", "%1"))))
    return found ~= nil and found[1] ~= nil and found[1]:sub(-1) == "/"
end

--- Names in a directory, hidden ones included, "." and ".." not.
--- @param path string
--- @return string[]
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

local function size_of(path)
    local file, reason = io.open(path, "rb")
    if not file then
        return nil, "cannot read " .. reason
    end
    local size, seek_reason = file:seek("end")
    -- Files of /proc and of devices have something in them that their size says nothing of.
    local unsized = size == 0 and file:read(1) ~= nil
    file:close()
    if not size then
        return nil, string.format("cannot read %s: %s", path, seek_reason)
    elseif unsized then
        return nil, string.format("cannot read %s in parts: the system does not tell its size; read a copy of it", path)
    end
    return size
end

local function add_file(found, path)
    local size, reason = size_of(path)
    if not size then
        return nil, reason
    end
    found[#found + 1] = { path = path, size = size }
    return true
end

local function add_directory(found, path)
    for _, name in ipairs(files.list(path)) do
        if not name:match("^[%._]") then
            local inside = path:gsub("/+$", "") .. "/" .. name
            if files.is_directory(inside) then
                local outer = path:gsub("/+$", "")
                return nil, string.format("%s is a directory: to read files below %s, give a pattern such as '%s/*/*'",
                    inside, outer, outer)
            end
            local added, reason = add_file(found, inside)
            if not added then
                return nil, reason
            end
        end
    end
    return true
end

--- The input files that `path` means: a file, the files of a directory (names starting with "." or "_" are left out),
--- or a pattern with * ? [] {}.
--- @param path string
--- @return { path: string, size: number }[]?
--- @return string? reason
function files.inputs(path)
    local matches
    if files.exists(path) then
        matches = { files.is_directory(path) and path:gsub("/+$", "") .. "/" or path }
    elseif path:find("[%*%?%[{]") then
        local reason
        matches, reason = glob(path, GLOB_BRACE)
        if not matches then
            return nil, reason
        end
        if #matches == 0 then
            return nil, string.format("no file matches the pattern %s", path)
        end
    else
        return nil, string.format("there is no file or directory %s", path)
    end
    local found = {}
    for _, match in ipairs(matches) do
        local add = match:sub(-1) == "/" and add_directory or add_file
        local added, reason = add(found, match)
        if not added then
            return nil, reason
        end
    end
    return found
end

--- Cuts files in byte ranges of about equal length, at least `partitions` of them where the size allows. Empty files
--- give none. Lines belong to the range in which they begin.
--- @param inputs { path: string, size: number }[]
--- @param partitions integer
--- @return { [1]: string, [2]: number, [3]: number }[] path, offset, length
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
        while (input.size - offset) / length > SLACK do
            splits[#splits + 1] = { input.path, offset, length }
            offset = offset + length
        end
        if offset < input.size then
            splits[#splits + 1] = { input.path, offset, input.size - offset }
        end
    end
    return splits
end

--- Makes a directory and those above it.
--- @param path string
--- @return true? made
--- @return string? reason
function files.make_directory(path)
    local prefix = path:sub(1, 1) == "/" and "/" or ""
    for part in path:gmatch("[^/]+") do
        prefix = prefix .. part
        if C.mkdir(prefix, 511) ~= 0 then
            local errno = ffi.errno()
            if errno ~= EEXIST then
                return nil, string.format("cannot make the directory %s: %s", prefix, ffi.string(C.strerror(errno)))
            elseif not files.is_directory(prefix) then
                return nil, string.format("cannot make the directory %s: there is a file of that name", prefix)
            end
        end
        prefix = prefix .. "/"
    end
    return true
end

--- Removes a directory with the files in it (not with directories in it).
--- @param path string
function files.remove_directory(path)
    for _, name in ipairs(files.list(path)) do
        os.remove(path .. "/" .. name)
    end
    os.remove(path)
end

return files
