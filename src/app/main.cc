#include "app/program.h"

int main(int argc, char** argv) { return penstock::app::program(argc, argv); }
