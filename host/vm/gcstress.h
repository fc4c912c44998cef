/*
 * Garbage collection at every step, for tests (base/stress.h): reads of objects that nothing references any more then
 * fail.
 *
 * A state under stress collects with pause 0, completes a whole collection at each n-th allocation (n drawn, and
 * growing with the heap so that a run ends), and wherever tide_gcstress_collect is called: when C is entered from Lua
 * and left again, before and after a task. Its memory comes from malloc, so that AddressSanitizer watches it, and is
 * overwritten when it is freed.
 *
 * All of it does nothing when stress is off. Thread: the state's.
 */
#ifndef TIDE_VM_GCSTRESS_H
#define TIDE_VM_GCSTRESS_H

struct lua_State;
struct luaL_Reg;

/* In place of luaL_newstate and lua_close. */
struct lua_State *tide_gcstress_newstate(void);
void tide_gcstress_close(struct lua_State *L);
/* Puts a state that was not made here under stress. Repeated calls do nothing. */
void tide_gcstress_adopt(struct lua_State *L);
/* Collects all garbage now, unless the collector is stopped or runs. Errors of finalizers are raised. */
void tide_gcstress_collect(struct lua_State *L);
/* luaL_register(L, NULL, functions); under stress each call of them begins and ends with a collection. */
void tide_gcstress_register(struct lua_State *L, const struct luaL_Reg *functions);

#endif
