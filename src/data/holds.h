#pragma once

namespace penstock::data {

/// What a target can hold beyond the plain meaning of a Kind. Sources choose each column's type from the pair (source
/// type, this), so that nothing arrives that would have to be bent. Defaults are what every target holds.
struct Holds {
    bool infinite_dates = false;  ///< 'infinity' and '-infinity' of date, timestamp, timestamptz
    bool end_of_day = false;      ///< time 24:00:00
    bool timetz = false;          ///< else PostgreSQL's text form
    bool interval = false;        ///< months, days and microseconds apart; else PostgreSQL's text form
};

}  // namespace penstock::data
