#include "pgha_build.h"

// From PGHA_SOURCE in the environment of `swift build`: see Package.swift.
#ifndef PGHA_SOURCE
#define PGHA_SOURCE ""
#endif

const char *pgha_build_source(void) { return PGHA_SOURCE; }
