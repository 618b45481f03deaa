include(GNUInstallDirs)
install(TARGETS penstock RUNTIME DESTINATION bin)
