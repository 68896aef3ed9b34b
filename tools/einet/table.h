// A plain text table: columns as wide as their widest cell, two blanks apart. Numbers are the caller's text.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace einet::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  // Precondition: as many cells as the header has. Cells are printable UTF-8 (escape() what is foreign).
  void add(std::vector<std::string> cells);
  std::size_t size() const { return rows_.size() - 1; }
  void print(std::ostream& out) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// 0.9731 is "97.3%".
std::string percent(double share);

}  // namespace einet::cli
