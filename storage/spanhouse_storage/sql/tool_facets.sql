SELECT arraySort(groupUniqArray(1000)(tool)) AS tool FROM steps FINAL
