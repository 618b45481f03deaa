#include "config/notify.h"

namespace penstock::config {

const Spec<Notify>& notify_spec() {
    using N = Notify;
    static const auto made =
        Spec<N>("notify", "Which connections are told of what; a list of their names for each kind of news.")
            .field("failure", &N::failure,
                   "A run has failed for good, or was stopped by its budget; a drill of a backup has failed. Not: a "
                   "run that "
                   "was interrupted, or found another one of the pipeline under way.",
                   {.example = "[slack]"})
            .field("recovery", &N::recovery, "The first success of a pipeline after a failure.", {.example = "[slack]"})
            .field("sla", &N::sla, "A scheduled window has not succeeded within `sla`. Told by `penstock serve`.",
                   {.example = "[slack]"})
            .field("missed", &N::missed,
                   "Scheduled times went by that nobody looked at. Told by `penstock serve` once it looks.",
                   {.example = "[slack]"})
            .field("budget", &N::budget,
                   "A run was stopped by its budget, or put off to the next day. Whoever is told of failures has the "
                   "former already.",
                   {.example = "[finance]"})
            .field("repeat", &N::repeat,
                   "A pipeline that fails again in the same way, without a success in between, is told of again after "
                   "this time.",
                   {});
    return made;
}

const Spec<Notifying>& notifying_spec() {
    static const auto made =
        Spec<Notifying>("notifying", "Who is told.")
            .field("notify", &Notifying::notify, notify_spec(), "Which connections (webhook, smtp) are told of what.",
                   {.example = "{failure: [slack], recovery: [slack]}"});
    return made;
}

const Spec<Defaults>& defaults_spec() {
    static const auto made =
        Spec<Defaults>("defaults", settings_spec().doc()).include(settings_spec()).include(notifying_spec());
    return made;
}

}  // namespace penstock::config
