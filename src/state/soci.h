#pragma once

// SOCI as Debian builds it wants Boost's headers for conversions nobody here uses.
#include <soci/soci-config.h>
#undef SOCI_HAVE_BOOST
#undef SOCI_HAVE_BOOST_DATE_TIME
#include <soci/soci.h>
