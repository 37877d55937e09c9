#pragma once

/// What `git describe` said of the sources when this executable was built; "" where the build was not told.
const char *pgha_build_source(void);
