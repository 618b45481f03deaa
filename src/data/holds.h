#pragma once

namespace penstock::data {

/// What a target can hold beyond the plain meaning of a Kind. Sources choose each column's type from the pair (source
/// type, this), so that nothing arrives that would have to be bent. Defaults are what every target holds.
struct Holds {
    bool infinite_dates = false;  ///< 'infinity' and '-infinity' of date, timestamp, timestamptz
    bool end_of_day = false;      ///< time 24:00:00
    bool timetz = false;          ///< else PostgreSQL's text form
    bool interval = false;        ///< months, days and microseconds apart; else PostgreSQL's text form
    bool free_decimals =
        false;  ///< numbers without bounds as the text of all their digits; else some decimal, or `numeric:`
    bool range_text = false;  ///< ranges in their text form; else structures
    bool old_rows = false;    ///< changes with their transaction and, where the source sends it, the whole old row
};

}  // namespace penstock::data
