-- Jobs that save, run as processes of their own: two that race, and one whose calls to the system are noted.

local shell = require "spec.support.shell"

local saves = {}

local LINES = 40 -- of each batch of saves.job

--- A job that saves `batches` batches under `prefix`, of lines with the text of its first argument. With a second argument it waits,
--- when its context is there, until somebody has opened that FIFO.
---@param dir table tempdir
---@param prefix string
---@param batches integer 0: a dataset to the directory `prefix-1000`
---@return string path
function saves.job(dir, prefix, batches)
    local stream = [[
        local inputs = {}
        for i = 1, %d do inputs[i] = batch end
        local result = require("moontide.testing").run {
            inputs = { inputs }, partitions = 4, checkpoint = false,
            build = function(_, stream)
                stream:saveAsTextFiles(%q)
                ready()
            end,
        }
        if result.error then error(tostring(result.error), 0) end
    ]]
    local dataset = [[
        local rdd = require("moontide").Context("local[2]"):parallelize(batch, 4)
        ready(%d)
        rdd:saveAsTextFile(%q .. "-1000")
    ]]
    return dir:write("saves.lua", ([[
        local tag, gate = ...
        local batch = {}
        for i = 1, %d do batch[i] = tag .. " " .. i end
        local function ready()
            if gate then io.open(gate):read("*a") end
        end
    ]]):format(LINES) .. (batches > 0 and stream or dataset):format(batches, prefix))
end

--- Raises unless the directory has all lines of one job, and nothing else.
---@param directory string
---@param tag? string of which one
---@return string tag
function saves.complete(directory, tag)
    local seen, count = {}, 0
    for _, name in ipairs(require("moontide.driver.files").list(directory)) do
        if name:match("^part") then
            for line in io.lines(directory .. "/" .. name) do
                local who, number = line:match("^(%S+) (%d+)$")
                tag = tag or who
                assert(who == tag, directory .. " has lines of " .. tag .. " and of " .. tostring(who))
                assert(not seen[number], directory .. " has the line " .. number .. " twice")
                seen[number], count = true, count + 1
            end
        end
    end
    assert(count == LINES, ("%s has %d lines of %d, and _SUCCESS"):format(directory, count, LINES))
    return tag
end

--- Has two processes save under one prefix at the same time. Raises unless each completed batch has all lines of one of them, and every
--- job that did not save all its batches was told.
---@param prefix string
---@param dir table tempdir
---@param how? { dataset: boolean?, env: table<string, string>?, all_may_fail: boolean? } dataset: a directory that must not be there;
---   all_may_fail: it may be that neither completes a batch
function saves.race(prefix, dir, how)
    how = how or {}
    local batches = how.dataset and 1 or 3
    local job = saves.job(dir, prefix, how.dataset and 0 or batches)
    local jobs = {}
    for index, tag in ipairs({ "one", "two" }) do
        local gate = ("%s.gate%d"):format(prefix, index)
        assert(os.execute("mkfifo " .. shell.quote(gate)) == 0)
        jobs[index] = { tag = tag, gate = gate, process = shell.start(shell.command({ shell.program, "run", job, tag, gate }), { env = how.env }) }
    end
    for _, one in ipairs(jobs) do one.opened = assert(io.open(one.gate, "w")) end -- returns when the job is there
    for _, one in ipairs(jobs) do one.opened:close() end
    local completed = { one = 0, two = 0 }
    for _, one in ipairs(jobs) do one.result = one.process:wait() end
    for batch = 1, batches do
        local directory = ("%s-%d"):format(prefix, batch * 1000)
        local success = io.open(directory .. "/_SUCCESS")
        if success then
            success:close()
            local tag = saves.complete(directory)
            completed[tag] = completed[tag] + 1
        end
    end
    for _, one in ipairs(jobs) do
        if one.result.code == 0 then
            assert(completed[one.tag] == batches, ("%s ended well, and %d of its %d batches are there"):format(one.tag,
                completed[one.tag], batches))
        else
            assert(one.result.err:find(how.dataset and "already exists" or "another writer is at work in", 1, true), one.result.err)
        end
    end
    assert(how.all_may_fail or completed.one + completed.two > 0, "nobody has completed a batch:\n" .. jobs[1].result.err .. jobs[2].result.err)
end

local SHIM = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *path_of(int fd, const char *name, char out[4096]) {
    char link[64];
    if (name && *name == '/') return name;
    if (fd == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, out, 3000);
    if (size < 0) size = 0;
    out[size] = 0;
    if (name) snprintf(out + size, 1000, "/%s", name);
    return out;
}

static void note(const char *call, const char *path, const char *from) {
    char line[9000];
    int size = snprintf(line, sizeof line, "%s\t%s\t%s\n", call, path, from);
    int fd = open(getenv("SHIM_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (write(fd, line, size) != size) abort();
    close(fd);
}

int fsync(int fd) {
    char path[4096];
    note("fsync", path_of(fd, NULL, path), "");
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

int renameat2(int a, const char *old, int b, const char *new, unsigned flags) {
    char from[4096], to[4096];
    note("renameat2", path_of(b, new, to), path_of(a, old, from));
    return ((int (*)(int, const char *, int, const char *, unsigned))dlsym(RTLD_NEXT, "renameat2"))(a, old, b, new, flags);
}

int openat(int at, const char *name, int flags, ...) {
    char path[4096];
    va_list rest;
    va_start(rest, flags);
    int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
    va_end(rest);
    if (flags & O_CREAT) note("openat", path_of(at, name, path), "");
    return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat"))(at, name, flags, mode);
}
]]

--- Runs a job and tells its calls of fsync, renameat2, and openat where that makes a file, in order. They are noted by a library
--- that is loaded before the C library.
---@param job string
---@param dir table tempdir
---@return { call: string, path: string, from: string }[]
function saves.trace(job, dir)
    local source, log = dir:write("shim.c", SHIM), dir:file("shim.log")
    local library = dir:file("shim.so")
    os.remove(log)
    local built = shell.run(("%s -shared -fPIC -o %s %s -ldl"):format(os.getenv("CC") or "cc", shell.quote(library), shell.quote(source)))
    assert(built.code == 0, built.err)
    local result = shell.moontide({ "run", job }, { env = { LD_PRELOAD = library, SHIM_LOG = log } })
    assert(result.code == 0, result.err)
    local events = {}
    for line in io.lines(log) do
        local call, path, from = line:match("^(.-)\t(.-)\t(.*)$")
        events[#events + 1] = { call = call, path = path, from = from }
    end
    return events
end

return saves
