#include "app/program.h"
#include "app/work/keeper.h"

int main(int argc, char** argv) {
    if (argc > 1 && argv[0] == penstock::app::keeper_name) return penstock::app::keep(argv);
    return penstock::app::program(argc, argv);
}
